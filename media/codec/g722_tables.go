package codec

// The tables of ITU-T G.722.
var (
	// g722Low6 is QM6: the lower band's quantiser of 6 bits, by code. Codes 0 to 3 are not sent.
	g722Low6 = [64]int32{
		-136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
		-7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
		24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
		4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
	}
	// g722Low4 is QM4: the same by the upper 4 bits, for the predictor.
	g722Low4 = [16]int32{
		0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
	}
	// g722High2 is QM2: the higher band's quantiser.
	g722High2 = [4]int32{-7408, -1616, 7408, 1616}
	// g722LowWeight is WL by RL42: what each code of 4 bits adds to the logarithm of the lower band's step.
	g722LowWeight = [16]int32{-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60}
	// g722HighWeight is WH by RH2: the same for the higher band.
	g722HighWeight = [4]int32{798, -214, 798, -214}
	// g722Exp is ILB: 2048 times 2 to the i/32.
	g722Exp = [32]int32{
		2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
		2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
	}
	// g722QMF is every other coefficient of the symmetric filter; the others are the same, backwards.
	g722QMF = [12]int32{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}
)
