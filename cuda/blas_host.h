/* SPDX-License-Identifier: Apache-2.0
 *
 * The library that stands in for cuBLASLt on the host has algorithms of its own, so that what becomes
 * of one, and of a bad one, can be tested. Its heuristic always names the first, or the one of that
 * number in GRADUS_HOST_ALGORITHM.
 */
#ifndef CUDA_BLAS_HOST_H
#define CUDA_BLAS_HOST_H

enum blas_host_algorithm {
    BLAS_HOST_UP = 1,     /* one chain per element, k ascending */
    BLAS_HOST_DOWN,       /* k descending */
    BLAS_HOST_BY_ROWS,    /* up for more than one row, else down */
    BLAS_HOST_BY_COLUMNS, /* up for whole products, down for a part of the columns */
    BLAS_HOST_ALGORITHMS
};

enum { BLAS_HOST_VERSION = 1 };

#endif
