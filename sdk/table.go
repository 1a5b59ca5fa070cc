package sdk

const tablePage = 1024

// Table holds a value for each ref of an origin, for sinks that keep native references: dense, in pages of 1,024 entries
// that are freed when the last of their refs is deleted. Memory: the size of T per live ref, plus at most one page for
// every live ref in the worst case of one survivor a page.
type Table[T any] struct {
	pages map[Ref]*page[T]
	last  *page[T] // the page of the last access: neighbours come together
	at    Ref
	live  int
}

type page[T any] struct {
	used    [tablePage]bool
	values  [tablePage]T
	entries int
}

// Get returns the value of a ref, nil where none was set.
func (t *Table[T]) Get(ref Ref) *T {
	p := t.page(ref / tablePage)
	if p == nil || !p.used[ref%tablePage] {
		return nil
	}
	return &p.values[ref%tablePage]
}

func (t *Table[T]) page(n Ref) *page[T] {
	if t.last == nil || t.at != n {
		t.last, t.at = t.pages[n], n
	}
	return t.last
}

// Set stores the value of a ref.
func (t *Table[T]) Set(ref Ref, v T) {
	n := ref / tablePage
	p := t.page(n)
	if p == nil {
		p = &page[T]{}
		if t.pages == nil {
			t.pages = map[Ref]*page[T]{}
		}
		t.pages[n], t.last = p, p
	}
	if i := ref % tablePage; !p.used[i] {
		p.used[i] = true
		p.entries++
		t.live++
	}
	p.values[ref%tablePage] = v
}

// Delete forgets a ref and reports whether it was there.
func (t *Table[T]) Delete(ref Ref) bool {
	n := ref / tablePage
	p := t.page(n)
	if p == nil || !p.used[ref%tablePage] {
		return false
	}
	p.used[ref%tablePage] = false
	p.values[ref%tablePage] = *new(T)
	p.entries--
	t.live--
	if p.entries == 0 {
		delete(t.pages, n)
		t.last = nil
	}
	return true
}

// Len is the number of refs that have a value.
func (t *Table[T]) Len() int { return t.live }

// All visits every ref that has a value, in no order, until visit returns false.
func (t *Table[T]) All(visit func(Ref, *T) bool) {
	for n, p := range t.pages {
		for i := range p.values {
			if p.used[i] && !visit(n*tablePage+Ref(i), &p.values[i]) {
				return
			}
		}
	}
}
