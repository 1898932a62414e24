/* SPDX-License-Identifier: Apache-2.0
 * Promises: the digests of FIPS 180-4's examples, whatever the pieces in which the data come. */
#include "base/sha256.h"

#include "check.h"

static void digest_is(const char *data, size_t bytes, size_t piece, const char *want) {
    struct sha256 hash;
    unsigned char digest[32];
    char hex[65];
    sha256_init(&hash);
    for (size_t at = 0; at < bytes; at += piece)
        sha256_update(&hash, data + at, bytes - at < piece ? bytes - at : piece);
    sha256_finish(&hash, digest);
    sha256_hex(digest, hex);
    CHECK_TEXT(hex, want);
}

int main(void) {
    static char million[1000000];
    memset(million, 'a', sizeof million);
    digest_is("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_is("abc", 3, 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, 7,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    digest_is(million, sizeof million, 999,
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    return CHECK_END();
}
