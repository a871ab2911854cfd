"""Reports of NVIDIA's Nsight Compute (`ncu`): what it counted in each kernel, as the counters of whole processes.

Two kinds of file: `.ncu-rep`, read by NVIDIA's own reader where the user installed it, and the table that
`ncu --csv` prints. Both become `Kernel`s (`kernel`), which `counters` adds up.
"""
