#!/usr/bin/env bash
# The loop of a custom runtime in bash, in the manner of AWS's tutorial: curl, and so a connection for each request.

runtime="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
folder=$(mktemp -d)
head=$folder/head
error='{"errorMessage":"broken","errorType":"Function.Broken"}'

tell() {
    local status headers
    status=$(tac "$head" | awk '/^HTTP/ { print $2; exit }')
    headers=$(tr -d '\r' <"$head" | grep : | sort | paste -sd ';')
    echo "saw $status $headers"
    [ "$status" -lt 400 ] || { echo "refused: $status" >&2; exit 1; }
}

post() {
    curl -sS -D "$head" -o /dev/null -X POST "$@" || exit 1
    tell
}

post_error() {
    post "$runtime/$1" -H 'Lambda-Runtime-Function-Error-Type: Function.Broken' -d "$error"
}

one_and_two() {
    printf one
    read -r _ <&3
    printf two
}

if [ -n "$FAILS" ]; then
    post_error init/error
    exit 1
fi

exec 3<&0
while kill -0 $$; do
    echo tick
    sleep 0.05
done 2>/dev/null &

while :; do
    curl -sS -D "$head" -o "$folder/event" "$runtime/invocation/next" || exit 1
    tell
    id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$head" | tr -d '[:space:]' | cut -d: -f2)
    case $(head -c 20 "$folder/event") in
        '{"do":"exit"}') exit 7 ;;
        '{"do":"fail"}') post_error "invocation/$id/error" ;;
        '{"do":"stream"}')
            one_and_two | curl -sS -D "$head" -o /dev/null -X POST -T - \
                -H 'Lambda-Runtime-Function-Response-Mode: streaming' "$runtime/invocation/$id/response"
            tell
            ;;
        *) post "$runtime/invocation/$id/response" --data-binary "@$folder/event" ;;
    esac
done
