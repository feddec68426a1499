// Package postrunner is what a Lambda function in Go may ask of aws-lambda-post-runner. It needs nothing but Go itself:
// copy it.
//
//	postrunner.Work([]byte(`{"user": 7}`), "current") // a line for the post command's standard input
//	postrunner.WaitUntil("mail", func() { sendMail(user) }) // Lambda does not freeze us before it has returned
//
// Where the runner is not there, the work itself goes on, and nobody waits for it.
package postrunner

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"runtime/debug"
	"time"
)

// The runner is on this machine, and answers within a fraction of a millisecond.
var client = &http.Client{Timeout: 500 * time.Millisecond}

// Work hands over data as it is, and tells whether a command will get it. The invocation is a request id, or "current".
func Work(data []byte, invocation string) bool {
	status, _ := ask(http.MethodPost, "invocation/"+invocation+"/work", data)
	return status == http.StatusAccepted
}

// WaitUntil calls work in a goroutine. A panic is logged before the wait ends, and ends nothing else.
func WaitUntil(name string, work func()) {
	release := Hold(name, "current")
	go func() {
		defer release()
		defer func() {
			if problem := recover(); problem != nil {
				log.Printf("what the freeze waits for has failed: %v\n%s", problem, debug.Stack())
			}
		}()
		work()
	}()
}

// Hold keeps Lambda from freezing us until what it returns is called.
func Hold(name, invocation string) (release func()) {
	document, _ := json.Marshal(map[string]string{"name": name})
	status, answer := ask(http.MethodPost, "invocation/"+invocation+"/wait", document)
	var wait struct{ Token string }
	if status != http.StatusCreated || json.Unmarshal(answer, &wait) != nil {
		return func() {}
	}
	return func() { ask(http.MethodDelete, "wait/"+wait.Token, nil) }
}

func ask(method, path string, body []byte) (status int, answer []byte) {
	address := os.Getenv("AWS_LAMBDA_RUNTIME_API")
	request, err := http.NewRequest(method, "http://"+address+"/post-runner/v1/"+path, bytes.NewReader(body))
	if address == "" || err != nil {
		return 0, nil
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	answer, _ = io.ReadAll(response.Body)
	return response.StatusCode, answer
}
