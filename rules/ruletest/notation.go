package ruletest

import (
	"strconv"
	"strings"
)

// notation writes values in thousandths as promtool reads them: "AxN" is A and N
// repeats, "A+BxN" counts up. A value that ends is marked stale.
func notation(values []int64) string {
	var items []string
	for i := 0; i < len(values); {
		n, step := run(values[i:])
		switch v := values[i]; {
		case v != missing && n == 1:
			items = append(items, thousandths(v))
		case v != missing && step == 0:
			items = append(items, thousandths(v)+"x"+strconv.Itoa(n-1))
		case v != missing && step > 0:
			items = append(items, thousandths(v)+"+"+thousandths(step)+"x"+strconv.Itoa(n-1))
		case v != missing:
			items = append(items, thousandths(v)+thousandths(step)+"x"+strconv.Itoa(n-1))
		case i > 0 && n == 1:
			items = append(items, "stale")
		case i > 0:
			items = append(items, "stale", "_x"+strconv.Itoa(n-1))
		default:
			items = append(items, "_x"+strconv.Itoa(n))
		}
		i += n
	}
	return strings.Join(items, " ")
}

// run is the length of the run of equal steps that values begin with. Two values
// that differ are no run: the second one begins the next.
func run(values []int64) (n int, step int64) {
	if len(values) == 1 || (values[0] == missing) != (values[1] == missing) {
		return 1, 0
	}
	if values[0] != missing {
		step = values[1] - values[0]
	}
	for n = 1; n < len(values) && values[n] == values[n-1]+step; n++ {
		if (values[n] == missing) != (values[0] == missing) {
			break
		}
	}
	if n == 2 && step != 0 {
		return 1, 0
	}
	return n, step
}

// thousandths writes 1500 as 1.5.
func thousandths(v int64) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	s := sign + strconv.FormatInt(v/1000, 10)
	if v%1000 == 0 {
		return s
	}
	frac := strconv.FormatInt(1000+v%1000, 10)[1:]
	return s + "." + strings.TrimRight(frac, "0")
}
