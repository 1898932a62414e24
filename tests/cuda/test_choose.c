/* SPDX-License-Identifier: Apache-2.0
 *
 * Which GPU a rank takes, in what the sites do: each rank sees one GPU; all see all; the variable is
 * not set; fewer GPUs than ranks.
 */
#include "check.h"
#include "cuda/backend_cuda.h"

int main(void) {
    int index = -1;
    for (int rank = 0; rank < 4; rank++) {
        CHECK_OK(cuda_choose(rank, 4, 4, &index));
        CHECK_EQ(index, rank);
        CHECK_OK(cuda_choose(rank, 4, 1, &index)); /* its own, whichever that is */
        CHECK_EQ(index, 0);
        CHECK_OK(cuda_choose(rank, -1, 8, &index));
        CHECK_EQ(index, rank);
    }
    CHECK_OK(cuda_choose(-1, -1, 4, &index)); /* no launcher that tells */
    CHECK_EQ(index, 0);
    CHECK_STATUS(cuda_choose(3, 4, 2, &index), STATUS_INPUT, "4 ranks but shows 2 GPUs: rank 3");
    CHECK_STATUS(cuda_choose(2, -1, 2, &index), STATUS_INPUT, "3 ranks but shows 2 GPUs");
    return CHECK_END();
}
