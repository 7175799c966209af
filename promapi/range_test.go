package promapi

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// began is an instant that is no whole second.
var began = time.UnixMilli(1795225504724)

func TestAMatrixIsReadAsPrometheusWritesIt(t *testing.T) {
	c, log := serve(t, 200, success("matrix", `[`+
		`{"metric":{"__name__":"probe_duration_seconds","instance":"web1"},"values":[[1795225504.724,"0.25"],[1795225509.724,"NaN"],[1795225519.724,"+Inf"]]},`+
		`{"metric":{},"values":[ [ 1795225504, "-1.5e-07" ] ]},`+
		`{"metric":{"job":"none"}}]`))
	got, err := c.Range(t.Context(), "q", began, began.Add(time.Hour+time.Microsecond), 1500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	want := []Track{
		{map[string]string{"instance": "web1"}, []Sample{{began, .25}, {began.Add(5 * time.Second), math.NaN()}, {began.Add(15 * time.Second), math.Inf(1)}}},
		{map[string]string{}, []Sample{{time.Unix(1795225504, 0), -1.5e-7}}},
		{map[string]string{"job": "none"}, []Sample{}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	sent := []asked{{Method: "GET", Path: "/prom/api/v1/query_range", Form: url.Values{
		"query": {"q"}, "start": {"1795225504.724"}, "end": {"1795229104.724"}, "step": {"1.5"}, "timeout": {"2"},
	}}}
	if diff := cmp.Diff(sent, *log); diff != "" {
		t.Errorf("asked: -want +got:\n%s", diff)
	}
}

// A log keeps the beginning of an error: behind a long query the reason would be lost.
func TestALongQueryLeavesRoomForTheReason(t *testing.T) {
	c, log := serve(t, 503, `{"status":"error","errorType":"unavailable","error":"shutting down"}`)
	query := "sum(" + strings.Repeat("ü+", 3000) + "1)"
	_, err := c.Query(t.Context(), query)
	_, err2 := c.Range(t.Context(), query, began, began, time.Second)
	for _, err := range []error{err, err2} {
		if at := strings.Index(fmt.Sprint(err), "shutting down"); at < 0 || at > 400 || !strings.HasPrefix(err.Error(), "asking main for sum(ü+ü+") {
			t.Errorf("got %v, want the reason within 400 bytes", err)
		}
	}
	for _, one := range *log {
		if one.Form.Get("query") != query {
			t.Error("the query that is asked was shortened")
		}
	}
}

func TestARangeThatPrometheusWouldRefuseIsNotAsked(t *testing.T) {
	c, log := serve(t, 200, success("matrix", "[]"))
	const about = "asking main for q from 2026-11-21T01:45:04Z to "
	for _, test := range []struct {
		long, step time.Duration
		want       string
	}{
		{MaxSteps * time.Second, time.Second, ""},
		{0, time.Second, ""},
		{(MaxSteps + 1) * time.Second, time.Second, "2026-11-21T04:48:25Z: it has 11001 steps of 1s, want 11000 at most: lengthen the step, or ask for a shorter time"},
		{-time.Second, time.Second, "2026-11-21T01:45:03Z: it ends before it begins"},
		{time.Second, 0, "2026-11-21T01:45:05Z: got a step of 0s, want whole milliseconds"},
		{time.Second, -time.Second, "2026-11-21T01:45:05Z: got a step of -1s, want whole milliseconds"},
		{time.Second, 1500 * time.Microsecond, "2026-11-21T01:45:05Z: got a step of 1.5ms, want whole milliseconds"},
	} {
		before := len(*log)
		_, err := c.Range(t.Context(), "q", began, began.Add(test.long), test.step)
		switch {
		case test.want == "" && (err != nil || len(*log) != before+1):
			t.Errorf("%s by %s: got %v and %d questions, want an answer to one", test.long, test.step, err, len(*log)-before)
		case test.want != "" && (err == nil || err.Error() != about+test.want || len(*log) != before):
			t.Errorf("%s by %s: got %d questions and\n%v\nwant none and\n%s", test.long, test.step, len(*log)-before, err, about+test.want)
		}
	}
}

func TestAMatrixThatIsNotWholeIsAnError(t *testing.T) {
	for result, want := range map[string]string{
		success("vector", `[]`):     `reading the answer: got the type "vector", want matrix`,
		success("matrix", `null`):   "reading the answer: a matrix without result",
		success("matrix", `[null]`): "", // a series without labels and without samples
		success("matrix", `[{"metric":{"a":"b"},"histograms":[[1,{"count":"1"}]]}]`):        "reading the answer: map[a:b]: it has native histograms, want numbers",
		success("matrix", `[{"metric":{"a":"b"},"values":[[2,"1"],[2,"1"]]}]`):              "reading the answer: map[a:b]: its sample of 1970-01-01T00:00:02Z comes after that of 1970-01-01T00:00:02Z, want rising times",
		success("matrix", `[{"metric":{"a":"b"},"values":[[2.002,"1"],[2.001,"1"]]}]`):      "reading the answer: map[a:b]: its sample of 1970-01-01T00:00:02.001Z comes after that of 1970-01-01T00:00:02.002Z, want rising times",
		success("matrix", `[{"metric":{},"values":[null]}]`):                                "reading the sample null: got 0 elements, want 2",
		success("matrix", `[{"metric":{},"values":[[1,2]]}]`):                               "reading the sample [1,2]: its second element is no text",
		success("matrix", `[{"metric":{},"values":[[1e12,"2"]]}]`):                          `reading the sample [1e12,"2"]: its first element is no unix time`,
		success("matrix", `[{"metric":{},"values":[[1,"x"]]}]`):                             `reading the sample [1,"x"]: strconv.ParseFloat: parsing "x": invalid syntax`,
		success("matrix", `[{"metric":{},"values":[[1,"2",3]]}]`):                           `reading the sample [1,"2",3]: got 3 elements, want 2`,
		`{"status":"success","warnings":["a"],"data":{"resultType":"matrix","result":[]}}`:  "the answer is not whole: a",
		`{"status":"success","isPartial":true,"data":{"resultType":"matrix","result":[]}}`:  "the answer is not whole: isPartial is true",
		`{"status":"error","errorType":"execution","error":"query processing would load…"}`: `got status "error", want "success": execution: query processing would load…`,
	} {
		c, _ := serve(t, 200, result)
		got, err := c.Range(t.Context(), "q", began, began, time.Second)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || got != nil || !strings.HasSuffix(err.Error(), ": "+want)):
			t.Errorf("%s: got %v beside\n%v\nwant\n%s", result, got, err, want)
		}
	}
}

func TestAMatrixBeyondTheLimitSaysToNarrow(t *testing.T) {
	c, _ := serve(t, 200, success("matrix", "[]"))
	c.limit = 20
	_, err := c.Range(t.Context(), "q", began, began, time.Second)
	if err == nil || !strings.HasSuffix(err.Error(), "more than 20 bytes; narrow the query") {
		t.Errorf("got %v", err)
	}
}

func TestARangeTooLongForAURLIsPosted(t *testing.T) {
	var methods []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods = append(methods, r.Method)
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusRequestURITooLong)
			return
		}
		if r.FormValue("query") == "" || r.FormValue("start") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, success("matrix", "[]"))
	}))
	defer server.Close()
	c := client(t, Settings{Name: "main", URL: server.URL})
	if _, err := c.Range(t.Context(), "q", began, began, time.Second); err != nil || len(methods) != 2 {
		t.Errorf("got %v after %v", err, methods)
	}
}

// FuzzAMatrixIsTracksOrAnError: whatever a server sends, there are either tracks
// in rising order and without a metric name, or an error.
func FuzzAMatrixIsTracksOrAnError(f *testing.F) {
	f.Add([]byte(success("matrix", `[{"metric":{"__name__":"a","b":"c"},"values":[[1795225504.724,"1"],[1795225505,"NaN"]]}]`)))
	f.Add([]byte(success("matrix", `[{"metric":null,"values":[[ 1 ,"\u0031"]],"histograms":[]}]`)))
	f.Add([]byte(success("matrix", `[{"values":[[-1e11,"0x1p-2"],[1e11,"1"]]},null]`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		tracks, err := parseMatrix(body)
		if err != nil && tracks != nil {
			t.Errorf("got %v beside %v", tracks, err)
		}
		for _, track := range tracks {
			if _, named := track.Labels["__name__"]; named {
				t.Errorf("got %+v", track)
			}
			for i, s := range track.Samples {
				if s.At.Year() > 6000 || s.At.Year() < -2000 || i > 0 && !s.At.After(track.Samples[i-1].At) {
					t.Errorf("got %+v", track)
				}
			}
		}
	})
}

// FuzzASampleIsReadAlikeQuicklyAndWithCare: what the quick way takes, the careful
// one takes as the same.
func FuzzASampleIsReadAlikeQuicklyAndWithCare(f *testing.F) {
	for _, text := range []string{`[1795225504.724,"1"]`, `[1,"NaN"]`, `[1,"a\"b"]`, `["1","2"]`, `[[1,"2"],"3"]`, `[1,"2","3"]`, `[1e400,"1"]`, ` [1,"2"]`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var quick, careful stamped
		if !json.Valid([]byte(text)) || !quick.readPlain([]byte(text)) {
			return
		}
		// The blank keeps the quick way out.
		err := careful.UnmarshalJSON([]byte("[ " + text[1:]))
		if err != nil || !quick.At.Equal(careful.At) || math.Float64bits(quick.Value) != math.Float64bits(careful.Value) {
			t.Errorf("%s: got %v, with care %v and %v", text, quick, careful, err)
		}
	})
}

// BenchmarkMatrix reads the answer of 5,000 series of ten values.
func BenchmarkMatrix(b *testing.B) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, `,{"metric":{"instance":"http://10.0.%d.%d:8080/health"},"values":[`, i/250, i%250)
		for k := range 10 {
			fmt.Fprintf(&text, `%s[%d.724,"0.0%d"]`, ","[:min(k, 1)], 1795225504+15*k, 12345678+i)
		}
		text.WriteString("]}")
	}
	body := []byte(success("matrix", "["+text.String()[1:]+"]"))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if tracks, err := parseMatrix(body); err != nil || len(tracks) != 5000 {
			b.Fatal(len(tracks), err)
		}
	}
}
