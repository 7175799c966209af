package replay

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// table writes the rows: time to detect for what is a fault, alerts for what is none.
func table(columns []contender, rows []Row) string {
	var s strings.Builder
	header(&s, "fault", columns)
	for _, harmless := range []bool{false, true} {
		for _, r := range rows {
			if r.Fault.Harmless == harmless {
				r.write(&s)
			}
		}
	}
	s.WriteString("| false alarms per day, healthy |")
	for i := range columns {
		fmt.Fprintf(&s, " %s |", rate(rows, i))
	}
	return s.String() + "\n"
}

func header(s *strings.Builder, first string, columns []contender) {
	fmt.Fprintf(s, "| %s |", first)
	for _, c := range columns {
		s.WriteString(" " + c.name + " |")
	}
	s.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
}

func (r Row) write(s *strings.Builder) {
	fmt.Fprintf(s, "| %s |", r.Fault.Name)
	for _, o := range r.Outcomes {
		if r.Fault.Harmless {
			fmt.Fprintf(s, " %s |", alarms(o))
		} else {
			fmt.Fprintf(s, " %s |", detection(o))
		}
	}
	s.WriteString("\n")
}

// detection is median and worst time to detect, how many found it unless all did,
// and when most of those went silent again.
func detection(outcomes []Outcome) string {
	var took, after []time.Duration
	for _, o := range outcomes {
		if o.Found {
			took = append(took, o.Took)
		}
		if o.Stopped {
			after = append(after, o.After)
		}
	}
	if len(took) == 0 {
		return "never"
	}
	text := fmt.Sprintf("%s (%s)", short(middle(took)), short(slices.Max(took)))
	if len(took) < len(outcomes) {
		text += fmt.Sprintf(", %d of %d", len(took), len(outcomes))
	}
	if 2*len(after) > len(took) {
		text += ", silent after " + short(middle(after))
	}
	return text
}

// alarms is how many alerts there were in a replay of something harmless.
func alarms(outcomes []Outcome) string {
	sum := 0
	for _, o := range outcomes {
		sum += o.During
	}
	if sum == 0 {
		return "none"
	}
	return fmt.Sprintf("%.3g false", float64(sum)/float64(len(outcomes)))
}

// rate is the number of false alarms per day of a contender before the faults of
// the rows without a peak: they share the seeds, so one row tells all.
func rate(rows []Row, column int) string {
	var alerts int
	var healthy time.Duration
	for _, o := range rows[0].Outcomes[column] {
		alerts += o.False
		healthy += o.Healthy
	}
	if alerts == 0 {
		return fmt.Sprintf("0 in %.0f days", healthy.Hours()/24)
	}
	return fmt.Sprintf("%.2g", float64(alerts)/(healthy.Hours()/24))
}

// middle is the median, the greater of two.
func middle(d []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

// short writes a duration without its zeros: 1h, 4m, 2m15s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len(zero)+1]
		}
	}
	return text
}
