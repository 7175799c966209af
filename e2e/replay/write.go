package replay

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Document is what the tables are written into, below the root of the repository,
// and Pictures the folder of the pictures.
const (
	Document = "docs/THRESHOLDS.md"
	Pictures = "docs/images"
)

// marks of a table in the document: "<!-- bench:NAME -->", and its end.
const endMark = "<!-- /bench -->"

// Tables gives every table of the document by the name of its mark. Days is for
// that of the false faults: probe-days of each kind.
func Tables(days int) map[string]string {
	return map[string]string{
		"replays":      Replays(Normal()),
		"noisy":        Replays(LogNormalMemory()),
		"healthy":      Alarms(),
		"limits":       Limits(),
		"false-faults": Report(days),
	}
}

// Replays is the table of all faults on one healthy service, with the contenders
// as columns.
func Replays(on Healthy) string {
	limit := sameRate(on)
	columns, faults := contenders(limit), Faults(on)
	if on.Name != Normal().Name {
		faults = slices.DeleteFunc(faults, func(f Fault) bool { return f.Own })
	}
	return table(columns, replays(columns, faults, Seeds)) + fmt.Sprintf(
		"\n%d seeds each; a sample every %s; the alert on the score is at %.3f.\n", Seeds, every, limit)
}

// Alarms is the table of false alarms per day on each healthy service, in its
// second week: the bands that look back a week have one to look at.
func Alarms() string {
	const seeds, from, days = 4, 8 * day, 6
	columns := contenders(sameRate(Normal()))
	var rows []Row
	for _, h := range Kinds() {
		f := Fault{Name: h.Name, For: days * day, Harmless: true, Base: h, Past: from, change: same}
		rows = append(rows, replays(columns, []Fault{f}, seeds)...)
	}
	var s strings.Builder
	header(&s, "healthy service", columns)
	for _, r := range rows {
		fmt.Fprintf(&s, "| %s |", r.Fault.Name)
		for _, outcomes := range r.Outcomes {
			sum := 0
			for _, o := range outcomes {
				sum += o.During
			}
			fmt.Fprintf(&s, " %.3g |", float64(sum)/(seeds*days))
		}
		s.WriteString("\n")
	}
	return s.String() + fmt.Sprintf("\nPer probe and day, of %d probe-days each; a sample every %s.\n", seeds*days, every)
}

// Drawings gives every picture by the name of its file.
func Drawings() (map[string][]byte, error) {
	columns, all := contenders(sameRate(Normal())), map[string][]byte{}
	for _, f := range Faults(Normal()) {
		svg, err := picture(f, columns).svg(columns)
		if err != nil {
			return nil, err
		}
		all[f.File+".svg"] = svg
	}
	return all, nil
}

// Write puts the tables and the pictures into the documentation of the repository
// at root.
func Write(root string, tables map[string]string) error {
	name := filepath.Join(root, Document)
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	page := string(text)
	for _, mark := range slices.Sorted(maps.Keys(tables)) {
		if page, err = replace(page, mark, tables[mark]); err != nil {
			return fmt.Errorf("writing the table %q into %s: %w", mark, name, err)
		}
	}
	if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
		return err
	}
	return draws(filepath.Join(root, Pictures))
}

func draws(folder string) error {
	pictures, err := Drawings()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, svg := range pictures {
		if err := os.WriteFile(filepath.Join(folder, name), svg, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// replace puts a table between its marks.
func replace(page, mark, table string) (string, error) {
	begin := "<!-- bench:" + mark + " -->"
	from := strings.Index(page, begin)
	if from < 0 {
		return "", fmt.Errorf("got no line %q, want one where the table belongs", begin)
	}
	from += len(begin)
	to := strings.Index(page[from:], endMark)
	if to < 0 {
		return "", fmt.Errorf("got no line %q after %q, want one where the table ends", endMark, begin)
	}
	return page[:from] + "\n\n" + strings.TrimSpace(table) + "\n\n" + page[from+to:], nil
}
