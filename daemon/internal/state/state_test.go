package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFactSurvivesAndDamageIsSetAside(t *testing.T) {
	dir := t.TempDir()
	var bad []string
	s, err := Open(dir, func(bucket, key string, err error) { bad = append(bad, bucket+"/"+key) })
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{"plain", "source.etcd.main", `../../up`, "", ".hidden", "喜鹊", strings.Repeat("long/", 100)}
	for i, key := range keys {
		if err := s.Put("b", key, []byte(key+"!")); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	again, _ := Open(dir, s.Bad)
	for _, key := range keys {
		if b, err := again.Get("b", key); string(b) != key+"!" || err != nil {
			t.Errorf("%q: %q, %v", key, b, err)
		}
	}
	if b, err := again.Get("b", "absent"); b != nil || err != nil {
		t.Errorf("absent: %q, %v", b, err)
	}
	path := filepath.Join(dir, "b", "=plain")
	os.WriteFile(path, []byte("damaged"), 0o600)
	if b, err := again.Get("b", "plain"); b != nil || err != nil || len(bad) != 1 {
		t.Errorf("damaged: %q, %v, %v", b, err, bad)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
	if err := again.Delete("b", "source.etcd.main"); err != nil {
		t.Error(err)
	}
	if b, _ := again.Get("b", "source.etcd.main"); b != nil {
		t.Error("deleted and still there")
	}
	entries, _ := os.ReadDir(filepath.Dir(dir))
	for _, e := range entries {
		if e.Name() == "up" {
			t.Error("a key escaped its directory")
		}
	}
}
