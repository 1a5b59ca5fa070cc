package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// textDir opens a component with two directories of text files.
func textDir(t *testing.T) (h *host, th *testHost, dir string) {
	dir = t.TempDir()
	h, th = bare(t, func(c *Config) { c.Collect, c.TextfileDirs = []string{"textfile"}, []string{dir + "/text*"} })
	write(t, dir+"/text1/a.prom", "# TYPE jobs_total counter\njobs_total{job=\"x\"} 3\n")
	write(t, dir+"/text2/b.prom", "temperature 21.5\n")
	return h, th, dir
}

func TestTextfilesAreReadAnewWhenTheyChange(t *testing.T) {
	t.Parallel()
	h, _, dir := textDir(t)
	s := newSeries()
	if err := s.collect(t, h); err != nil {
		t.Fatal(err)
	}
	if s.values[`jobs_total{job="x"}`] != 3 || s.values["temperature"] != 21.5 || s.values["node_textfile_scrape_error"] != 0 {
		t.Errorf("%v", s.values)
	}
	before := h.text.files[dir+"/text1/a.prom"]
	s.collect(t, h)
	if h.text.files[dir+"/text1/a.prom"] != before {
		t.Error("a file that has not changed is read anew")
	}
	write(t, dir+"/text1/a.prom", "jobs_total{job=\"x\"} 10\n")
	at := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(dir+"/text1/a.prom", at, at); err != nil {
		t.Fatal(err)
	}
	os.Remove(dir + "/text2/b.prom")
	s.collect(t, h)
	if s.values[`jobs_total{job="x"}`] != 10 || s.values[`node_textfile_mtime_seconds{file="`+dir+`/text1/a.prom"}`] != 1.7e9 {
		t.Errorf("%v", s.values)
	}
	if _, ok := s.values["temperature"]; ok || len(h.text.files) != 1 {
		t.Errorf("a file that is gone is kept: %v", s.values)
	}
}

func TestATextfileThatIsNotGoodIsLeftOutAndSaidOnce(t *testing.T) {
	t.Parallel()
	for content, text := range map[string]string{
		"no metric {":                  "bad.prom: text format parsing error in line 1",
		"x 1 1700000000000\n":          "x has a timestamp: write none",
		"node_load1 3\n":               "node_load1 is a metric that Magpie sets itself: rename it",
		"up 1\n":                       "up is a metric that Magpie sets itself",
		"temperature 3\n":              "temperature is in DIR/text2/b.prom too",
		"x{a=\"1\"} 1\nx{a=\"1\"} 2\n": `x{a="1"} is there twice`,
	} {
		h, th, dir := textDir(t)
		write(t, dir+"/text3/bad.prom", content)
		s := newSeries()
		for range 3 {
			if err := s.collect(t, h); err != nil {
				t.Fatal(err)
			}
		}
		said := strings.ReplaceAll(strings.ReplaceAll(th.said.String(), `\"`, `"`), dir, "DIR")
		if strings.Count(said, text) != 1 || s.values["node_textfile_scrape_error"] != 1 || s.values["temperature"] != 21.5 {
			t.Errorf("%q: the log says\n%s\nwith %v", content, said, s.values)
		}
	}
}

func TestOnlyRegularFilesUpToALimitAreRead(t *testing.T) {
	t.Parallel()
	h, th, dir := textDir(t)
	if err := os.MkdirAll(dir+"/text4/directory.prom", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/text9/large.prom", strings.Repeat("#\n", maxFile/2))
	values, err := collectOnce(t, h)
	if err != nil || values["temperature"] != 21.5 || values["node_textfile_scrape_error"] != 1 {
		t.Errorf("%v, %v", values, err)
	}
	for _, text := range []string{"directory.prom: it is not a regular file", "large.prom: the files are larger than 16777216 bytes together"} {
		if !strings.Contains(th.said.String(), text) {
			t.Errorf("the log does not say %q:\n%s", text, th.said.String())
		}
	}
}

func TestADirectoryThatIsNotThereIsAnErrorAndNoneIsNot(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	for dir, want := range map[string]float64{missing: 1, "[": 1, "": 0} {
		h, _ := bare(t, func(c *Config) {
			if c.Collect = []string{"textfile"}; dir != "" {
				c.TextfileDirs = []string{dir}
			}
		})
		if values, err := collectOnce(t, h); err != nil || values["node_textfile_scrape_error"] != want {
			t.Errorf("%q: %v, %v", dir, values, err)
		}
	}
}

func TestHistogramsAndSummariesOfTextfilesAreFlat(t *testing.T) {
	t.Parallel()
	samples, err := parseTextfile([]byte(`# TYPE h histogram
h_bucket{le="0.5"} 1
h_bucket{le="+Inf"} 2
h_sum 3
h_count 2
# TYPE s summary
s{quantile="0.99"} 7
s_sum 8
s_count 9
`), "x.prom")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range samples {
		got = append(got, s.series.Labels.String()+" "+s.series.Family.Type.String()+" "+s.series.Family.Help)
	}
	want := `h_bucket{le="0.5"} histogram Metric read from x.prom
h_bucket{le="+Inf"} histogram Metric read from x.prom
h_sum histogram Metric read from x.prom
h_count histogram Metric read from x.prom
s{quantile="0.99"} summary Metric read from x.prom
s_sum summary Metric read from x.prom
s_count summary Metric read from x.prom`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
