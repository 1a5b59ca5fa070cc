package sdk

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type tree struct {
	Name     string `hcl:"name,label" doc:"Name."`
	Children []tree `hcl:"child,block" doc:"Children."`
}

type outer struct {
	Inner *inner `hcl:"inner,block" doc:"Inner."`
}

type inner struct {
	Outer []outer `hcl:"outer,block" doc:"Outer."`
}

type twice struct {
	First  *leaf  `hcl:"first,block" doc:"First."`
	Second []leaf `hcl:"second,block" doc:"Second."`
}

type leaf struct {
	Port uint16 `hcl:"port,optional" doc:"Port."`
}

type endless []endless

func TestASchemaThatHasNoEndIsRefused(t *testing.T) {
	for _, c := range []struct {
		config any
		want   string
	}{
		{tree{}, "sdk.tree is nested in itself"},
		{outer{}, "sdk.outer is nested in itself"},
		{struct {
			Lists endless `hcl:"lists" doc:"Lists of lists."`
		}{}, "Lists: the type sdk.endless is an element of itself"},
	} {
		if _, err := SchemaOf(reflect.TypeOf(c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: %v", c.config, err)
		}
	}
	if s, err := SchemaOf(reflect.TypeFor[twice]()); err != nil || len(s.Blocks) != 2 {
		t.Errorf("the same block twice, side by side: %v", err)
	}
}

type sized struct {
	I8    int8           `hcl:"i8,optional" doc:"."`
	I16   int16          `hcl:"i16,optional" doc:"."`
	I32   int32          `hcl:"i32,optional" doc:"."`
	I64   int64          `hcl:"i64,optional" doc:"."`
	Int   int            `hcl:"int,optional" doc:"."`
	U8    uint8          `hcl:"u8,optional" doc:"."`
	U16   *uint16        `hcl:"u16,optional" check:"min=1" doc:"."`
	U32   uint32         `hcl:"u32,optional" doc:"."`
	U64   uint64         `hcl:"u64,optional" doc:"."`
	Uint  uint           `hcl:"uint,optional" doc:"."`
	Float float64        `hcl:"float,optional" doc:"."`
	Wait  time.Duration  `hcl:"wait,optional" doc:"."`
	Size  Bytes          `hcl:"size,optional" doc:"."`
	List  []uint8        `hcl:"list,optional" doc:"."`
	Map   map[string]int `hcl:"map,optional" doc:"."`
	Block []leaf         `hcl:"block,block" doc:"."`
	Key   Secret         `hcl:"key,optional" doc:"."`
}

func TestANumberThatItsFieldCannotHoldIsRefusedAtItsAttribute(t *testing.T) {
	for data, want := range map[string]string{
		`{"i8": 128}`:                           "i8 takes a whole number from -128 to 127",
		`{"i8": -129}`:                          "i8 takes a whole number from -128 to 127",
		`{"i16": 32768}`:                        "i16 takes a whole number from -32768 to 32767",
		`{"i32": 2147483648}`:                   "i32 takes a whole number from -2147483648 to 2147483647",
		`{"i64": 9223372036854775808}`:          "i64 takes a whole number from -9223372036854775808 to 9223372036854775807",
		`{"int": 1.5}`:                          "int takes a whole number from -9223372036854775808 to 9223372036854775807",
		`{"u8": 256}`:                           "u8 takes a whole number from 0 to 255",
		`{"u8": -1}`:                            "u8 takes a whole number from 0 to 255",
		`{"u16": 65536}`:                        "u16 takes a whole number from 0 to 65535",
		`{"u32": 4294967296}`:                   "u32 takes a whole number from 0 to 4294967295",
		`{"u64": 18446744073709551616}`:         "u64 takes a whole number from 0 to 18446744073709551615",
		`{"uint": -1}`:                          "uint takes a whole number from 0 to 18446744073709551615",
		`{"float": 1e400}`:                      "float takes a number",
		`{"wait": 9223372036854775808}`:         "wait takes a whole number from -9223372036854775808 to 9223372036854775807 of nanoseconds",
		`{"size": 1e30}`:                        "size takes a whole number from -9223372036854775808 to 9223372036854775807 of bytes",
		`{"list": [1, 2, 300]}`:                 "list[2] takes a whole number from 0 to 255",
		`{"map": {"a": "x"}}`:                   `map["a"] takes a whole number from -9223372036854775808 to 9223372036854775807`,
		`{"block": [{}, {"port": 70000}]}`:      "block[1].port takes a whole number from 0 to 65535",
		`{"block": [7]}`:                        "block[0] takes a block",
		`{"list": 7}`:                           "list takes a list",
		`{"key": 31337}`:                        "key takes a text",
		`{"i8": 127, "u8": 255, "i16": -32768}`: "",
		`{"i64": -9223372036854775808, "u64": 18446744073709551615, "wait": 9223372036854775807, "block": [{"port": 65535}]}`: "",
	} {
		var cfg sized
		err := Fill(&cfg, []byte(data))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", data, err)
			}
			continue
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", data, err, want)
			continue
		}
		path, _, _ := strings.Cut(want, " takes")
		if p := AsProblem(err); p.Path.String() != path || p.Blame != BlameConfig || !p.Permanent {
			t.Errorf("%s: the problem is %+v", data, p)
		}
	}
}

func TestTheSchemaBoundsSizedIntegers(t *testing.T) {
	s, err := SchemaOf(reflect.TypeFor[sized]())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"i8": {"min=-128", "max=127"}, "i16": {"min=-32768", "max=32767"}, "i32": {"min=-2147483648", "max=2147483647"},
		"u8": {"min=0", "max=255"}, "u16": {"min=1", "min=0", "max=65535"}, "u32": {"min=0", "max=4294967295"}, "u64": {"min=0"}, "uint": {"min=0"},
		"list": {"min=0", "max=255"},
	}
	for _, a := range s.Attributes {
		if !slices.Equal(a.Checks, want[a.Name]) {
			t.Errorf("%s has the checks %v, want %v", a.Name, a.Checks, want[a.Name])
		}
	}
}

type idle struct{}

func (idle) Collect(context.Context, *Batch) error { return nil }

func TestAComponentIsNotOpenedWithANumberThatDoesNotFit(t *testing.T) {
	c := Source(func(context.Context, *leaf, Host) (idle, error) { return idle{}, nil })
	_, err := c.Open(t.Context(), []byte(`{"port": 70000}`), nil)
	var p *Problem
	if !errors.As(err, &p) || p.Path.String() != "port" {
		t.Errorf("%v", err)
	}
}

func TestAnOldNameIsOfOneThingOnly(t *testing.T) {
	type good struct {
		New  string `hcl:"new,optional" was:"old" doc:"."`
		Part *leaf  `hcl:"part,block" was:"piece" doc:"."`
	}
	s, err := SchemaOf(reflect.TypeFor[good]())
	if err != nil || s.Attributes[0].Was != "old" || s.Blocks[0].Was != "piece" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []any{
		struct {
			A string `hcl:"a" was:"b" doc:"."`
			B string `hcl:"b" doc:"."`
		}{},
		struct {
			A string `hcl:"a" was:"c" doc:"."`
			B *leaf  `hcl:"b,block" was:"c" doc:"."`
		}{},
		struct {
			A string `hcl:"a" was:"labels" doc:"."`
		}{},
		struct {
			A string `hcl:"a" was:"No" doc:"."`
		}{},
		struct {
			B []struct {
				A string `hcl:"a,label" was:"b" doc:"."`
			} `hcl:"b,block" doc:"."`
		}{},
	} {
		if _, err := SchemaOf(reflect.TypeOf(bad)); err == nil {
			t.Errorf("%T is taken", bad)
		}
	}
}

type probed struct {
	Port int `hcl:"port,optional" doc:"."`
}

func (p *probed) Probe(ctx context.Context) error {
	Progress(ctx, "looked")
	if p.Port == 1 {
		return At(&p.Port, errors.New("taken"))
	}
	return nil
}

func TestAConfigIsProbedWithoutAComponent(t *testing.T) {
	c := Source(func(context.Context, *probed, Host) (idle, error) { t.Error("it was opened"); return idle{}, nil })
	var found []string
	note := func(text string) { found = append(found, text) }
	if err := c.Probe(t.Context(), nil, nil, note); err != nil || !c.Type.Probes || !slices.Equal(found, []string{"looked"}) {
		t.Errorf("%v, %v, found %q", err, c.Type.Probes, found)
	}
	if p := AsProblem(c.Probe(t.Context(), []byte(`{"port":1}`), nil, note)); p == nil || p.Path.String() != "port" || p.Error() != "taken" {
		t.Errorf("%+v", p)
	}
}
