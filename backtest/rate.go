package backtest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Rate is how many alerts are wanted in a time at most.
type Rate struct {
	Alerts float64
	Per    time.Duration
}

// ParseRate reads alerts/time, such as 1/20d or 2/d.
func ParseRate(text string) (r Rate, err error) {
	alerts, per, found := strings.Cut(text, "/")
	if !found {
		return r, fmt.Errorf("got %q, want alerts/time such as 1/20d", text)
	}
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per
	}
	r.Alerts, err = strconv.ParseFloat(alerts, 64)
	d, wrong := model.ParseDuration(per)
	if r.Per = time.Duration(d); err != nil || wrong != nil || !(r.Alerts >= 0) || math.IsInf(r.Alerts, 0) || r.Per <= 0 {
		return r, fmt.Errorf("got %q, want alerts/time such as 1/20d", text)
	}
	return r, nil
}

// String is how it is written.
func (r Rate) String() string {
	return strconv.FormatFloat(r.Alerts, 'g', -1, 64) + "/" + model.Duration(r.Per).String()
}

// PerDay is the rate in alerts per day.
func (r Rate) PerDay() float64 { return r.Alerts / (r.Per.Hours() / 24) }
