package filter_test

import (
	"fmt"

	"github.com/provost-scim/provost/scim/filter"
)

func ExampleParse() {
	e, err := filter.Parse(`userType Eq Employee and (emails[type eq "work"].value ew "@example.com" or title pr)`)
	fmt.Println(e, err)
	_, err = filter.Parse(`userName is "kim"`)
	fmt.Println(err)
	// Output:
	// userType eq "Employee" and (emails[type eq "work" and value ew "@example.com"] or title pr) <nil>
	// filter: at position 9: expected an operator: eq, ne, co, sw, ew, gt, ge, lt, le or pr, found "is"
}
