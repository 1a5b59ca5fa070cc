package plan_test

import "reflect"

func reflectType[C any]() reflect.Type { return reflect.TypeFor[C]() }
