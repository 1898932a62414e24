/* SPDX-License-Identifier: Apache-2.0
 *
 * What can go wrong on a device and hardly comes about on the host, for tests.
 */
#ifndef CUDA_HOST_FAULTS_H
#define CUDA_HOST_FAULTS_H

#include <stdbool.h>

/* No event is passed any more, as when a stream waits for a rank that is lost. */
void faults_stall(bool on);

/* NCCL has an error of another rank to tell, when it has been looked at `looks` times more; −1: none. */
void faults_nccl(int looks);

#endif
