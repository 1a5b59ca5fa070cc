package sdk

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestALeaseEndsBeforeItsTTLUnlessItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		asked := began.Add(-time.Second) // the answer took a second
		l := NewLease(7, 10*time.Second, asked, nil)
		if l.Fence() != 7 || l.TTL() != 10*time.Second || l.Left() != 8500*time.Millisecond {
			t.Errorf("%d %s %s", l.Fence(), l.TTL(), l.Left())
		}
		time.Sleep(5 * time.Second)
		asked = time.Now()
		time.Sleep(3 * time.Second) // renewed late
		if !l.Renewed(asked) || l.Left() != 6500*time.Millisecond {
			t.Errorf("%s left", l.Left())
		}
		if !l.Renewed(began) || l.Left() != 6500*time.Millisecond {
			t.Errorf("an old answer left %s", l.Left())
		}
		<-l.Done()
		if since := time.Since(asked); since != 9500*time.Millisecond {
			t.Errorf("it held for %s", since)
		}
		if l.Renewed(time.Now()) || l.Left() != 0 || l.Err() == nil {
			t.Error("what has ended holds again")
		}
	})
}

func TestALeaseEndsOnceAndIsGivenBackOnce(t *testing.T) {
	lost, refused := errors.New("another has it"), errors.New("nobody answers")
	given := 0
	release := func(context.Context) error { given++; return refused }
	l := NewLease(1, time.Minute, time.Now(), release)
	if err := l.Release(t.Context()); err != refused || !errors.Is(l.Err(), ErrReleased) || l.Left() != 0 {
		t.Errorf("%v, %v, %s", err, l.Err(), l.Left())
	}
	if l.Lose(lost); l.Release(t.Context()) != nil || given != 1 || !errors.Is(l.Err(), ErrReleased) {
		t.Errorf("given back %d times, %v", given, l.Err())
	}
	l = NewLease(2, time.Minute, time.Now(), release)
	if l.Lose(lost); l.Release(t.Context()) != nil || given != 1 || l.Err() != lost {
		t.Errorf("what was lost is given back: %v", l.Err())
	}
	<-l.Done()
	if l := NewLease(0, time.Minute, time.Now(), nil); l.Left() != 0 || l.Err() == nil {
		t.Error("a lease without a fence holds")
	}
}

func TestKeysTimesAndMembersHaveBounds(t *testing.T) {
	for _, c := range []struct {
		key  string
		ttl  time.Duration
		good bool
	}{
		{"leader", time.Second, true}, {`source.etcd.main["生产"]`, time.Hour, true},
		{"", time.Second, false}, {"a\nb", time.Second, false}, {"\xff", time.Second, false}, {strings.Repeat("x", 201), time.Second, false},
		{"leader", time.Second - 1, false}, {"leader", time.Hour + 1, false}, {"leader", -1, false},
	} {
		if err := CheckLease(c.key, c.ttl); (err == nil) != c.good {
			t.Errorf("%.20q for %s: %v", c.key, c.ttl, err)
		}
	}
	large := Member{Name: "b", Facts: map[string]string{"x": strings.Repeat("x", 8<<10)}}
	all := SortMembers([]Member{{Name: "c"}, large, {Name: ""}, {Name: "a", Facts: map[string]string{"zone": "1"}}, {Name: "a"}})
	if len(all) != 3 || all[0].Facts["zone"] != "1" || all[2].Name != "c" {
		t.Errorf("%v", all)
	}
	if !SameMembers(all, SortMembers([]Member{{Name: "a", Facts: map[string]string{"zone": "1"}}, {Name: "c"}, {Name: "a"}})) || SameMembers(all, all[:2]) {
		t.Error("lists are compared wrongly")
	}
	if n := len(SortMembers(make([]Member, 0))); n != 0 {
		t.Errorf("%d", n)
	}
}
