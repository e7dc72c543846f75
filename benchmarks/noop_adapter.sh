# An adapter that does nothing but report that its benchmark is completed: one process of bash, about 3 ms of CPU. Where its
# job has no callback URL, nobody is told.
read -r -d '' job < "$EVALHUB_JOB_SPEC_PATH"

member() { # the value of a member of the job, a string or a number, into the variable of that name
  [[ $job =~ \"$1\":\ *\"?([^\",}$'\n']*) ]] && printf -v "$1" %s "${BASH_REMATCH[1]}"
}

[[ $job =~ \"callback_url\":\ *\"http://([^/:\"]+):([0-9]+)([^\"]*)\" ]] || exit 0
host=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]} prefix=${BASH_REMATCH[3]}
member id && member provider_id && member benchmark_id && member benchmark_index || exit 2
printf -v body '{"benchmark_status_event":{"provider_id":"%s","id":"%s","benchmark_index":%s,"status":"completed","metrics":{"acc":0.5}}}' \
  "$provider_id" "$benchmark_id" "$benchmark_index"

for pause in 0.1 0.3 1 3 0; do # a server that is overrun may refuse for a while
  if { exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null; then
    printf 'POST %s/api/v1/evaluations/jobs/%s/events HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' \
      "$prefix" "$id" "$host" "$port" "${#body}" "$body" >&3
    read -r _ status _ <&3
    [[ $status == 2* ]] && exit 0
  fi
  sleep "$pause"
done
exit 1
