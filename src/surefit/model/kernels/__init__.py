"""Compiled loops for CPUs with AVX-512, built where a compiler is found when SureFit is installed."""
