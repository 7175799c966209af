package backtest

import (
	"io"
	"strconv"
)

// rowsOf writes CSV while it is read, so that no test holds it.
type rowsOf struct {
	left  int
	at    int64
	state uint64
	line  []byte
}

// Read is part of io.Reader.
func (r *rowsOf) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.line) == 0 {
			if r.left == 0 {
				return n, io.EOF
			}
			r.next()
		}
		c := copy(p[n:], r.line)
		n, r.line = n+c, r.line[c:]
	}
	return n, nil
}

// next makes a row: the sum of four dice around 100, and a fault now and then.
func (r *rowsOf) next() {
	r.left--
	r.at += 5
	v := int64(0)
	for range 4 {
		r.state = r.state*6364136223846793005 + 1442695040888963407
		v += int64(r.state >> 33 % 1000)
	}
	if r.left%20000 < 100 {
		v += 40000
	}
	r.line = strconv.AppendInt(r.line[:0], r.at, 10)
	r.line = append(r.line, ',')
	r.line = strconv.AppendFloat(r.line, 80+float64(v)/100, 'f', 2, 64)
	r.line = append(r.line, '\n')
}
