/* SPDX-License-Identifier: Apache-2.0
 * Promises: the digests of FIPS 180-4's examples and those of Python's hashlib, whatever the pieces
 * in which the data come, with the processor's instructions and without. */
#include "base/sha256.h"

#include "check.h"

static void digest_by(bool instructions, const char *data, size_t bytes, size_t piece,
                      const char *want) {
    struct sha256 hash;
    unsigned char digest[32];
    char hex[65];
    sha256_init(&hash);
    hash.instructions = hash.instructions && instructions;
    for (size_t at = 0; at < bytes; at += piece)
        sha256_update(&hash, data + at, bytes - at < piece ? bytes - at : piece);
    sha256_finish(&hash, digest);
    sha256_hex(digest, hex);
    CHECK_TEXT(hex, want);
}

static void digest_is(const char *data, size_t bytes, size_t piece, const char *want) {
    digest_by(false, data, bytes, piece, want);
    digest_by(true, data, bytes, piece, want);
}

/* hashlib.sha256(bytes((i * 7 + i // 256) & 255 for i in range(n))).hexdigest(), Python 3.11 */
static const struct {
    size_t n;
    const char *digest;
} peer[] = {
    {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {55, "576a1bf8d4478657e6dc4af9398544765c2a92cde28478b019235cfed315fc09"},
    {56, "9b20501dfd1d99161c257950f3444f3e49230c351c5c8e0943ef369f85f5205d"},
    {63, "30b345906b493f06f69444b6521113511c242f30e29840462950035043682f1e"},
    {64, "d8bc63b4fc1156e5e7d95a418b9bf54cd3174bedbc2db40f74895349b229b3c0"},
    {65, "1ee23b0fbcaecc1aff4a9e8f1645f35ab2c8e13609cd73b68df8b5e3f63ce073"},
    {127, "67d79933e3c9aa8e89f481e071cfca1e9a16c09d7263b5efa3bb01f1a9f8d065"},
    {128, "54c9eb041badfd7064645067b107661fed6113197ce2dd066ba69618abd3732f"},
    {1000, "c85a431e0fe575b2609289d3a4042414715f400612575a125d2ce5573d608732"},
    {65536, "5fce37f3129150ce7ec3939b54016d9c1fd01364e27b0a788dc634064aec76b1"},
    {99999, "79b27467d239cf00d910f257654332ad8396423b5d6b0ed2660947c773024620"},
};

int main(void) {
    static char million[1000000];
    for (size_t i = 0; i < 100000; i++)
        million[i] = (char)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof peer / sizeof *peer; i++)
        for (size_t piece = 1; piece < 200; piece += 31)
            digest_is(million, peer[i].n, piece, peer[i].digest);
    memset(million, 'a', sizeof million);
    digest_is("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_is("abc", 3, 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, 7,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    digest_is(million, sizeof million, 999,
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    return CHECK_END();
}
