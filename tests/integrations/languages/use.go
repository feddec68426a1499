package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"postrunner"
)

func main() {
	lines := bufio.NewReader(os.Stdin)
	fmt.Println(postrunner.Work([]byte(`{"from":"go"}`), "current"))
	ended := make(chan bool)
	postrunner.WaitUntil("named", func() {
		defer close(ended)
		line, _ := lines.ReadString('\n')
		if strings.TrimSpace(line) == "fail" {
			panic("by zero")
		}
	})
	fmt.Println("begun")
	<-ended
	lines.ReadString('\n')
}
