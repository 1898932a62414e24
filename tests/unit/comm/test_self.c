/* SPDX-License-Identifier: Apache-2.0
 *
 * `self` is a communicator like any other.
 */
#include "comm/conform.h"

int main(void) {
    struct comm comm;
    comm_self_open(&comm);
    CHECK_TEXT(comm.ops->name, "self");
    CHECK_EQ(comm.size, 1);
    conform_all(&comm);
    conform_split(&comm);
    comm_close(&comm);
    return CHECK_END();
}
