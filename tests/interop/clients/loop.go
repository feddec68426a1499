// The loop of a runtime client in Go, in the manner of AWS's: one client of net/http that keeps its connections, and
// every answer in chunks with its trailers declared, whether they come or not.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sort"
	"strings"
	"time"
)

const (
	errorType  = "Lambda-Runtime-Function-Error-Type"
	errorBody  = "Lambda-Runtime-Function-Error-Body"
	errorText  = `{"errorMessage":"broken","errorType":"errorString"}`
	jsonType   = "application/json"
	streamType = "application/octet-stream"
)

var (
	runtime = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"
	client  = &http.Client{Timeout: 0}
)

// tellingBody ends where its source fails, and then tells why in its trailers.
type tellingBody struct {
	source  io.Reader
	trailer http.Header
}

func telling(source io.Reader) *tellingBody {
	return &tellingBody{source, http.Header{errorType: nil, errorBody: nil}}
}

func (body *tellingBody) Read(into []byte) (int, error) {
	count, err := body.source.Read(into)
	if err != nil && err != io.EOF {
		body.trailer.Set(errorType, "errorString")
		body.trailer.Set(errorBody, base64.StdEncoding.EncodeToString([]byte(errorText)))
		err = io.EOF
	}
	return count, err
}

func exchange(request *http.Request) (*http.Response, []byte) {
	request.Header.Set("User-Agent", "aws-lambda-go/go1.19")
	answer, err := client.Do(request)
	if err != nil {
		log.Fatalln(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatalln(err)
	}
	headers := []string{}
	for name, values := range answer.Header {
		headers = append(headers, name+"="+strings.Join(values, ", "))
	}
	sort.Strings(headers)
	fmt.Println("saw", answer.StatusCode, strings.Join(headers, "; "))
	return answer, content
}

func post(path, contentType, mode string, source io.Reader) {
	body := telling(source)
	request, err := http.NewRequest(http.MethodPost, runtime+path, body)
	if err != nil {
		log.Fatalln(err)
	}
	request.Trailer = body.trailer
	request.Header.Set("Content-Type", contentType)
	if mode != "" {
		request.Header.Set("Lambda-Runtime-Function-Response-Mode", mode)
	}
	if answer, _ := exchange(request); answer.StatusCode != http.StatusAccepted {
		log.Fatalln("not accepted:", answer.Status)
	}
}

// writeOne writes the first piece, and waits until somebody writes a line to us.
func writeOne(into *io.PipeWriter) {
	io.WriteString(into, "one")
	bufio.NewReader(os.Stdin).ReadString('\n')
}

func writeOneAndTwo(into *io.PipeWriter) {
	writeOne(into)
	io.WriteString(into, "two")
	into.Close()
}

func writeOneAndFail(into *io.PipeWriter) {
	writeOne(into)
	into.CloseWithError(errors.New("broken"))
}

func stream(path string, write func(*io.PipeWriter)) {
	source, into := io.Pipe()
	go write(into)
	post(path, streamType, "streaming", source)
}

func answer(invocation string, event []byte) {
	switch string(event) {
	case `{"do":"exit"}`:
		os.Exit(7)
	case `{"do":"fail"}`:
		post(invocation+"/error", jsonType, "", strings.NewReader(errorText))
	case `{"do":"stream"}`:
		stream(invocation+"/response", writeOneAndTwo)
	case `{"do":"break"}`:
		stream(invocation+"/response", writeOneAndFail)
	default:
		post(invocation+"/response", jsonType, "", bytes.NewReader(event))
	}
}

func tick() {
	for {
		fmt.Println("tick")
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	if os.Getenv("FAILS") != "" {
		post("init/error", jsonType, "", strings.NewReader(errorText))
		os.Exit(1)
	}
	go tick()
	for {
		request, err := http.NewRequest(http.MethodGet, runtime+"invocation/next", nil)
		if err != nil {
			log.Fatalln(err)
		}
		next, event := exchange(request)
		if next.StatusCode != http.StatusOK {
			log.Fatalln("no event:", next.Status)
		}
		answer("invocation/"+next.Header.Get("Lambda-Runtime-Aws-Request-Id"), event)
	}
}
