// Package nab scores detectors as the Numenta Anomaly Benchmark does, on 28 of
// its 58 files or on any folder of the same shape. The scorer knows nothing of
// sigma and is held against published results; what it scores is given as one
// figure from 0 to 1 for each row.
package nab
