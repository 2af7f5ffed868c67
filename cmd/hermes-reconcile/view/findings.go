package view

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"strings"

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

// JunitFindings prints a test report in the format of JUnit: an error is a failure, and a
// warning is skipped.
func JunitFindings(w io.Writer, r check.Report) {
	fmt.Fprintf(w, xml.Header+`<testsuite name="hermes-reconcile policy check" tests="%d" failures="%d" skipped="%d">`+"\n",
		max(len(r.Findings), 1), r.Errors(), len(r.Findings)-r.Errors())
	for _, f := range r.Findings {
		outcome := "skipped"
		if f.Severity == check.SeverityError {
			outcome = "failure"
		}
		fmt.Fprintf(w, `  <testcase classname="%s" name="%s at %d:%d">`+"\n", inXML(f.File), f.Code, f.Row, f.Col)
		fmt.Fprintf(w, `    <%s message="%s">%s</%[1]s>`+"\n", outcome, inXML(policy.Line(f.Message)), inXML(policy.Line(f.String())+"\n"+f.Fix))
		fmt.Fprintln(w, "  </testcase>")
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, `  <testcase classname="policy" name="no findings"></testcase>`)
	}
	fmt.Fprintln(w, "</testsuite>")
}

func inXML(text string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // memory takes it
	return escaped.String()
}
