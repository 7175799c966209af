package backtest

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/sigma"
)

// shownFaults is how many faults a page for people shows.
const shownFaults = 20

// Page says how a report is shown.
type Page struct {
	Name   string         // of the samples
	Zone   *time.Location // of all instants; nil: UTC
	Wanted Rate
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer, p Page) error {
	if p.Zone == nil {
		p.Zone = time.UTC
	}
	t := &sheet{Page: p, report: r}
	t.head()
	t.table("K", r.ByK, func(o Outcome) (float64, bool) { return o.K, o.K == r.Own.K })
	if r.Settings.Availability {
		t.table("FLOOR", r.ByFloor, func(o Outcome) (float64, bool) { return o.Floor, o.Floor == r.Own.Floor })
	}
	t.advice()
	t.faults()
	t.labels()
	t.scores()
	_, err := w.Write(t.Bytes())
	return err
}

// sheet is a report that is being written.
type sheet struct {
	bytes.Buffer
	Page
	report *Report
}

func (t *sheet) printf(format string, args ...any) { fmt.Fprintf(t, format, args...) }

// lines writes a table; cells are set apart by tabs.
func (t *sheet) lines(write func(w io.Writer)) {
	w := tabwriter.NewWriter(t, 0, 0, 2, ' ', 0)
	write(w)
	_ = w.Flush() // a buffer takes everything
}

// head says what was judged, and by what.
func (t *sheet) head() {
	r := t.report
	refused := ", none refused"
	if some := Refusals(r.Refused); some != "" {
		refused = "; refused: " + some
	}
	t.printf("%s: %d samples every %s from %s to %s %s (%s)%s\n", t.Name, r.Samples, span(r.Settings.Interval),
		t.clock(r.First), t.clock(r.Last), t.Zone, span(r.Last.Sub(r.First)), refused)
	f := r.Settings.Fault
	t.printf("judged: %d (%s); an anomaly is %s; a fault is more than %s to %s of them in %s\n",
		r.Own.Judged, span(r.Own.Time), criterion(r.Settings), percent(f.Floor), percent(f.Cap), span(f.Window))
	if r.Own.Judged == 0 {
		t.printf("no sample was judged: never came %d in the %s before one\n", r.Settings.Baseline.MinSamples, span(r.Settings.Baseline.Window))
	}
	t.suspicions()
}

// suspicions names what makes the rest of the page worth little.
func (t *sheet) suspicions() {
	r := t.report
	if late := r.Refused.OutOfOrder + r.Refused.Duplicate; late > r.Samples {
		t.printf("suspicious: more samples are out of order or double than were taken; want one series, sorted by time, the oldest first\n")
	}
	if every := r.Settings.Interval; r.Step > 0 && (r.Step >= 2*every || every >= 2*r.Step) {
		t.printf("suspicious: the interval is %s, and the first samples are %s apart\n", span(every), span(r.Step))
	}
	if note := early(r.First); note != "" {
		t.printf("suspicious%s\n", strings.Replace(note, "; ", ": ", 1))
	}
	if r.Settings.Availability && 2*r.Own.Anomalies > r.Own.Judged {
		t.printf("suspicious: most probes have failed; of probe_success, which is 1 for a good one, take 1 - probe_success\n")
	}
}

// Title names a plot.
func Title(name string, s Settings) string {
	return name + ": an anomaly is " + criterion(s)
}

// criterion says what an anomaly is.
func criterion(s Settings) string {
	if s.Availability {
		return "a failed probe"
	}
	b := s.Baseline
	text := beyond(b.Direction) + " mean " + sign(b.Direction) + " " + figure(b.K) + "·σ of the last " + span(b.Window)
	if b.Season == sigma.Daily {
		text += " and of the same hour of other days"
	}
	return text
}

func beyond(d sigma.Direction) string {
	switch d {
	case sigma.Lower:
		return "below"
	case sigma.Both:
		return "beyond"
	case sigma.Upper:
	}
	return "above"
}

func sign(d sigma.Direction) string {
	switch d {
	case sigma.Lower:
		return "-"
	case sigma.Both:
		return "±"
	case sigma.Upper:
	}
	return "+"
}

// Refusals tells how many samples were not taken, and why; it is empty where all
// were.
func Refusals(r sigma.Refused) string {
	var parts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{r.NotFinite, "without a finite value up to 1e100"}, {r.OutOfOrder, "out of order"}, {r.Duplicate, "of an instant that there was already"}, {r.Time, "of an impossible time"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}

// table compares outcomes; * marks that of the settings.
func (t *sheet) table(title string, all []Outcome, of func(Outcome) (value float64, own bool)) {
	if len(all) == 0 || t.report.Own.Judged == 0 {
		return
	}
	t.printf("\n")
	t.lines(func(w io.Writer) {
		fmt.Fprintf(w, "%s\tALERTS\tPER DAY\tLONGEST\tIN ALERT\tANOMALOUS", title)
		if t.report.Labelled {
			fmt.Fprint(w, "\tFOUND\tMEAN DELAY\tMISSED\tFALSE")
		}
		fmt.Fprintln(w)
		for _, o := range all {
			value, own := of(o)
			mark := ""
			if own {
				mark = " *"
			}
			fmt.Fprintf(w, "%s%s\t%s\n", figure(value), mark, t.row(o))
		}
	})
}

// row is the figures of one outcome.
func (t *sheet) row(o Outcome) string {
	if o.Refusal != "" {
		return o.Refusal
	}
	longest := "-"
	if o.Alerts > 0 {
		longest = span(o.Longest)
	}
	row := fmt.Sprintf("%d\t%s\t%s\t%s\t%s", o.Alerts, figure(o.PerDay()), longest, share(o.InAlert.Seconds(), o.Time.Seconds()), share(float64(o.Anomalies), float64(o.Judged)))
	if t.report.Labelled {
		delay := "-"
		if o.Found > 0 {
			delay = span(o.Delay)
		}
		row += fmt.Sprintf("\t%d of %d\t%s\t%d\t%d", o.Found, o.Found+o.Missed+o.Unjudged, delay, o.Missed+o.Unjudged, o.False)
	}
	return row
}

// advice names the k and the cap that keep to the wanted rate.
func (t *sheet) advice() {
	r := t.report
	if r.Own.Judged == 0 {
		return
	}
	what := ""
	if r.Labelled {
		what = " false alerts"
	}
	t.printf("\nFor %s (%s a day)%s at most:\n", t.Wanted, figure(t.Wanted.PerDay()), what)
	at := ""
	if !r.Settings.Availability {
		at = " with k " + figure(r.Own.K)
		t.advise(r.KFor, "k", func(o Outcome) float64 { return o.K }, r.ByK, " with cap "+figure(r.Own.Cap))
	}
	t.advise(r.CapFor, "cap", func(o Outcome) float64 { return o.Cap }, r.ByCap, at)
	if _, ok := r.CapFor(t.Wanted); !ok {
		t.advise(r.FloorFor, "floor", func(o Outcome) float64 { return o.Floor }, r.ByFloor, at+" and the cap as high")
	}
	t.doubt()
}

// advise tells the least of one setting that keeps to the wanted rate.
func (t *sheet) advise(find func(Rate) (Outcome, bool), name string, of func(Outcome) float64, all []Outcome, at string) {
	if o, ok := find(t.Wanted); ok {
		t.printf("  %s %s%s (%s a day)\n", name, figure(of(o)), at, figure(t.report.counted(o)))
		return
	}
	t.printf("  no %s up to %s%s\n", name, figure(of(all[len(all)-1])), at)
}

// doubt says when there are too few samples for the wanted rate: without any
// alert in a time T, the true rate is below 3/T with 95 %, and no less is known.
func (t *sheet) doubt() {
	const zero = 2.995732273553991 // -ln .05
	judged := t.report.Own.Time
	if wanted := t.Wanted.PerDay(); wanted > 0 && judged.Hours()/24*wanted < zero {
		need := time.Duration(zero / wanted * 24 * float64(time.Hour)).Round(time.Hour)
		t.printf("  %s is little for that: without any such alert the true rate may still be %s a day (95 %%); %s would show it.\n",
			span(judged), figure(zero/(judged.Hours()/24)), span(need))
	}
}

// faults lists those of the settings.
func (t *sheet) faults() {
	r := t.report
	shown := longest(r.Faults, shownFaults)
	switch {
	case r.Own.Judged == 0:
		return
	case r.Own.Alerts == 0:
		t.printf("\nNo fault with %s.\n", t.own())
		return
	case r.Own.Alerts == len(shown):
		t.printf("\nFaults with %s:\n\n", t.own())
	default:
		t.printf("\nThe longest %d of %d faults with %s:\n\n", len(shown), r.Own.Alerts, t.own())
	}
	t.lines(func(w io.Writer) {
		fmt.Fprint(w, "FIRST BAD\tALERT\tEND\tDURATION\tVALUE\tE\tTHETA_E")
		if r.Settings.Score {
			fmt.Fprint(w, "\tSCORE\tFEATURE\tIS\tMEAN\tSIGMA\tDISTANCE")
		}
		fmt.Fprintln(w)
		for _, e := range shown {
			end := t.clock(e.End)
			if e.Open {
				end = "lasts"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s", t.clock(e.FirstBad), t.clock(e.Start), end, span(e.Lasted), figure(e.Value), figure(e.E), figure(e.ThetaE))
			if r.Settings.Score {
				fmt.Fprint(w, "\t", evidence(e.Finding))
			}
			fmt.Fprintln(w)
		}
	})
}

// longest picks the longest n of the faults and leaves their order.
func longest(all []Episode, n int) []Episode {
	for len(all) > n {
		shortest := 0
		for i, e := range all {
			if e.Lasted < all[shortest].Lasted {
				shortest = i
			}
		}
		all = append(all[:shortest:shortest], all[shortest+1:]...)
	}
	return all
}

// own names the settings that faults are told of.
func (t *sheet) own() string {
	if t.report.Settings.Availability {
		return "cap " + figure(t.report.Own.Cap)
	}
	return "k " + figure(t.report.Own.K) + " and cap " + figure(t.report.Own.Cap)
}

// evidence is a finding in the columns of a table.
func evidence(f sigma.Finding) string {
	if f.Feature == "" {
		return "-\t-\t-\t-\t-\t-"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", figure(f.Score), f.Feature, figure(f.Value), figure(f.Mean), figure(f.StdDev), figure(f.Distance))
}

// labels tells of each window that is known to be faulty.
func (t *sheet) labels() {
	r := t.report
	if !r.Labelled {
		return
	}
	o := r.Own
	all := o.Found + o.Missed + o.Unjudged
	t.printf("\nLabelled as faulty: %d windows; found %d, missed %d, before there was a threshold %d; %d of %d alerts are false.\n\n", all, o.Found, o.Missed, o.Unjudged, o.False, o.Alerts)
	t.lines(func(w io.Writer) {
		if all > 0 {
			fmt.Fprintln(w, "WINDOW\tUNTIL\tDELAY")
		}
		for _, v := range r.Windows {
			delay := "missed"
			if v.Found {
				delay = span(v.Delay)
			} else if !v.Judged {
				delay = "not judged"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", t.clock(v.Start), t.clock(v.End), delay)
		}
		if more := all - len(r.Windows); more > 0 {
			fmt.Fprintf(w, "and %d more\n", more)
		}
	})
}

// scores lists the samples that were most unusual.
func (t *sheet) scores() {
	if len(t.report.Scores) == 0 {
		return
	}
	t.printf("\nMost unusual:\n\n")
	t.lines(func(w io.Writer) {
		fmt.Fprintln(w, "AT\tSCORE\tFEATURE\tIS\tMEAN\tSIGMA\tDISTANCE")
		for _, s := range t.report.Scores {
			fmt.Fprintf(w, "%s\t%s\n", t.clock(s.At), evidence(s.Finding))
		}
	})
}

// clock is an instant in the zone of the page, to the second unless it is finer.
func (t *sheet) clock(at time.Time) string {
	return at.In(t.Zone).Format("2006-01-02 15:04:05.999")
}

// span is a duration as Prometheus writes it, its smallest parts left out.
func span(d time.Duration) string {
	switch {
	case d >= 100*24*time.Hour:
		d = d.Round(24 * time.Hour)
	case d >= 24*time.Hour:
		d = d.Round(time.Hour)
	case d >= time.Hour:
		d = d.Round(time.Minute)
	case d >= time.Minute:
		d = d.Round(time.Second)
	}
	days, rest := d/(24*time.Hour), d%(24*time.Hour)
	switch {
	case days > 0 && rest == 0:
		return fmt.Sprintf("%dd", days)
	case days > 0:
		return fmt.Sprintf("%dd%s", days, model.Duration(rest))
	case d > 0 && d < time.Millisecond:
		return d.String()
	}
	return model.Duration(d).String()
}

// figure is a number with four digits that count.
func figure(v float64) string {
	if a := math.Abs(v); a >= 1e4 && a < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// percent is a share of one.
func percent(v float64) string { return figure(100*v) + " %" }

// share is a part of a whole; of nothing it is none.
func share(part, whole float64) string {
	if whole == 0 {
		return "-"
	}
	return percent(part / whole)
}
