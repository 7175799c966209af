package backtest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// latest is the unix second after which a number is no longer taken for seconds:
// that is the year 2106, and milliseconds since 1970 are beyond it from February
// 1970 on.
const latest = 1 << 32

// ParseTime reads an instant in one of the Forms. A date without a zone is of zone.
func ParseTime(text string, zone *time.Location) (time.Time, error) {
	if len(text) > 10 && text[4] == '-' && text[7] == '-' {
		if t, ok := parseDate(text, zone); ok {
			return t, nil
		}
	} else if t, ok, err := parseUnix(text); ok || err != nil {
		return t, err
	}
	return time.Time{}, fmt.Errorf("the timestamp is %q", shorten(text))
}

// parseUnix reads seconds with or without a fraction, to the nanosecond: a
// float64 would round them to a quarter of a microsecond.
func parseUnix(text string) (t time.Time, ok bool, err error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	seconds, ok := number(whole, 1, 18)
	if !ok {
		return t, false, nil
	}
	if seconds > latest {
		return t, false, errors.New("the timestamp " + shorten(text) + " is in milliseconds, or beyond the year 2106")
	}
	nanos, ok := int64(0), true
	if dotted {
		nanos, ok = nanoseconds(fraction)
	}
	if negative {
		seconds, nanos = -seconds, -nanos
	}
	return time.Unix(seconds, nanos).UTC(), ok, nil
}

// parseDate reads YYYY-MM-DD HH:MM:SS with T or a blank in the middle, a fraction
// or none, and a zone or none: one walk for all forms, where time.Parse needs a
// layout for each, and for the one with a blank twice the time.
func parseDate(text string, zone *time.Location) (t time.Time, ok bool) {
	p, ok := dateOf(text)
	if !ok {
		return t, false
	}
	nanos, rest, whole := fractionOf(text[19:])
	offset, zone, ok := parseZone(rest, zone)
	if !ok || !whole || !p.exists() {
		return t, false
	}
	t = time.Date(p[0], time.Month(p[1]), p[2], p[3], p[4], p[5], int(nanos), zone)
	return t.Add(-offset).UTC(), true
}

// date is year, month, day, hour, minute and second.
type date [6]int

// dateOf reads the 19 characters of a date and a time.
func dateOf(text string) (d date, ok bool) {
	if len(text) < 19 || !strings.ContainsAny(text[10:11], "Tt ") || text[13] != ':' || text[16] != ':' {
		return d, false
	}
	for i, at := range [6][2]int{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}} {
		n, ok := number(text[at[0]:at[1]], 1, 4)
		if !ok {
			return d, false
		}
		d[i] = int(n)
	}
	return d, true
}

// exists tells whether there is such a time: time.Date would take a 30th of
// February for another day.
func (d date) exists() bool {
	return d[1] >= 1 && d[1] <= 12 && d[2] >= 1 && d[2] <= daysOf(d[0], d[1]) && d[3] <= 23 && d[4] <= 59 && d[5] <= 59
}

// fractionOf reads a dot and digits, if there are such, and gives what follows.
func fractionOf(text string) (nanos int64, rest string, ok bool) {
	if text == "" || text[0] != '.' {
		return 0, text, true
	}
	rest = strings.TrimLeft(text[1:], "0123456789")
	nanos, ok = nanoseconds(text[1 : len(text)-len(rest)])
	return nanos, rest, ok
}

// daysOf is the number of days of a month.
func daysOf(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// parseZone reads Z, +HH:MM, which is an offset of UTC, or nothing, which is the
// zone that is given.
func parseZone(text string, zone *time.Location) (time.Duration, *time.Location, bool) {
	switch {
	case text == "":
		return 0, zone, true
	case text == "Z" || text == "z":
		return 0, time.UTC, true
	case len(text) != 6 || text[3] != ':' || text[0] != '+' && text[0] != '-':
		return 0, nil, false
	}
	hours, ok := number(text[1:3], 2, 2)
	minutes, fine := number(text[4:6], 2, 2)
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if text[0] == '-' {
		offset = -offset
	}
	return offset, time.UTC, ok && fine && hours < 24 && minutes < 60
}

// nanoseconds reads the digits behind the dot; what is finer is cut off.
func nanoseconds(text string) (int64, bool) {
	digits := text[:min(len(text), 9)]
	n, ok := number(digits, 1, 9)
	for range 9 - len(digits) {
		n *= 10
	}
	if len(text) > 9 {
		_, ok = number(text[9:], 1, 64)
	}
	return n, ok
}

// number reads digits alone, as many as least to most of them.
func number(text string, least, most int) (n int64, ok bool) {
	if len(text) < least || len(text) > most {
		return 0, false
	}
	for i := range len(text) {
		d := text[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int64(d)
	}
	return n, true
}
