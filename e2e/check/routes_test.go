package check_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onefiveten/onefiveten/demo/stack"
	"github.com/onefiveten/onefiveten/rules/living"
)

// draw writes a random node of a routing tree in flow style, with those below it.
func draw(r *rand.Rand, depth int, names *int) string {
	*names++
	text := fmt.Sprintf("{receiver: r%d", *names)
	label, value := string(rune('a'+r.IntN(3))), r.IntN(3)
	switch r.IntN(5) {
	case 0:
		text += fmt.Sprintf(`, match: {%s: "%d"}`, label, value)
	case 1:
		text += fmt.Sprintf(`, match_re: {%s: "%d|2"}`, label, value)
	case 2:
		text += fmt.Sprintf(`, matchers: ['%s!="%d"', 'b=~"0|1"']`, label, value)
	case 3:
		text += fmt.Sprintf(`, matchers: [%s!~"%d|x"]`, label, value)
	}
	if r.IntN(2) == 0 {
		text += ", continue: true"
	}
	return text + below(r, depth, names) + "}"
}

// below writes the routes below a node.
func below(r *rand.Rand, depth int, names *int) string {
	var all []string
	for n := r.IntN(4); depth > 0 && len(all) < n; {
		all = append(all, draw(r, depth-1, names))
	}
	if len(all) == 0 {
		return ""
	}
	return ", routes: [" + strings.Join(all, ", ") + "]"
}

// TestRoutes_AreWalkedAsAmtoolWalksThem: whatever the tree is, an alert reaches the
// receivers that Alertmanager's own program names, in both generations.
func TestRoutes_AreWalkedAsAmtoolWalksThem(t *testing.T) {
	const trees, alerts = 12, 4
	for _, generation := range generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			parts, err := stack.Find(t.Context(), stack.Options{Which: generation})
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 15))
			file, several := filepath.Join(t.TempDir(), "alertmanager.yml"), 0
			for range trees {
				names := 0
				text := "route: {receiver: r0" + below(r, 3, &names) + "}\nreceivers:\n"
				for i := range names + 1 {
					text += fmt.Sprintf("- name: r%d\n", i)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				am, err := living.Parse(text)
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				for range alerts {
					alert, args := map[string]string{}, []string{"config", "routes", "test", "--config.file=" + file}
					for _, name := range []string{"a", "b", "c"} {
						alert[name] = fmt.Sprint(r.IntN(3))
						args = append(args, name+"="+alert[name])
					}
					out, err := exec.CommandContext(t.Context(), parts.Amtool.Path, args...).Output()
					if err != nil {
						t.Fatalf("amtool: %v: %s\n%s", err, out, text)
					}
					var got []string
					for _, h := range am.Route(alert) {
						got = append(got, h.Receiver)
					}
					if want := strings.TrimSpace(string(out)); strings.Join(got, ",") != want {
						t.Errorf("%v: got %v, amtool says %s\n%s", alert, got, want, text)
					}
					if len(got) > 1 {
						several++
					}
				}
			}
			if several == 0 {
				t.Error("no alert has reached two receivers: the trees are too simple")
			}
		})
	}
}
