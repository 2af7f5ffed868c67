package view

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego/check"
)

type sarif = map[string]any

// SarifFindings prints a log of SARIF 2.1.0, which hosts of code show at its lines.
func SarifFindings(w io.Writer, r check.Report) {
	rules, results := []sarif{}, []sarif{}
	for _, code := range check.Codes {
		rules = append(rules, sarif{"id": code.Code, "shortDescription": sarif{"text": code.Means}, "help": sarif{"text": code.Means + ": " + code.Fix}})
	}
	for _, f := range r.Findings {
		results = append(results, sarif{
			"ruleId": f.Code, "level": f.Severity, "message": sarif{"text": messageOf(f)},
			"locations": []sarif{{"physicalLocation": sarif{
				"artifactLocation": sarif{"uri": (&url.URL{Path: f.File}).String()},
				"region":           sarif{"startLine": max(f.Row, 1), "startColumn": max(f.Col, 1)},
			}}},
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(sarif{ // as the other tables, without a look at errors of writing
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []sarif{{"tool": sarif{"driver": sarif{"name": "hermes-reconcile policy check", "rules": rules}}, "results": results}},
	})
}

type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string      `xml:"classname,attr"`
		Name    string      `xml:"name,attr"`
		Failure *junitWords `xml:"failure"`
		Skipped *junitWords `xml:"skipped"`
	}
	junitWords struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JunitFindings prints a test report in the format of JUnit: an error is a failure, and a
// warning is skipped.
func JunitFindings(w io.Writer, r check.Report) {
	suite := junitSuite{Name: "hermes-reconcile policy check", Tests: max(len(r.Findings), 1), Failures: r.Errors(), Skipped: len(r.Findings) - r.Errors()}
	for _, f := range r.Findings {
		words := &junitWords{policy.Line(f.Message), policy.Line(f.String()) + "\n" + f.Fix}
		one := junitCase{Class: f.File, Name: fmt.Sprintf("%s at %d:%d", f.Code, f.Row, f.Col), Skipped: words}
		if f.Severity == check.SeverityError {
			one.Failure, one.Skipped = words, nil
		}
		suite.Cases = append(suite.Cases, one)
	}
	if len(r.Findings) == 0 {
		suite.Cases = []junitCase{{Class: "policy", Name: "no findings"}}
	}
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err == nil {
		fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	}
}
