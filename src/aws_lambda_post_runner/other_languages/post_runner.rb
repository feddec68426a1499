# frozen_string_literal: true

# What a Lambda function in Ruby may ask of aws-lambda-post-runner. It needs nothing but Ruby itself: copy it.
#
#     PostRunner.work(user: 7)                      # a line for the post command's standard input
#     PostRunner.wait_until { send_mail(user) }     # runs in a thread; Lambda does not freeze us before it has ended
#
# Where the runner is not there, the work itself goes on, and nobody waits for it. Nothing here raises because of the
# runner.

require 'json'
require 'net/http'

module PostRunner
  PATIENCE = 0.5 # seconds; the runner is on this machine, and answers within a fraction of a millisecond

  module_function

  # Hand over text as it is, anything else as JSON. Tells whether a command will get it.
  def work(data, request_id: 'current')
    ask(Net::HTTP::Post, "invocation/#{request_id}/work", data.is_a?(String) ? data : JSON.generate(data)).code == '202'
  end

  # Run the block in a thread, which is returned. What it raises is logged before the wait ends.
  def wait_until(request_id: 'current', name: nil, &block)
    opened = ask(Net::HTTP::Post, "invocation/#{request_id}/wait", name ? JSON.generate(name: name) : '')
    Thread.new do
      block.call
    rescue StandardError => e
      warn "what the freeze waits for has failed: #{e.full_message(highlight: false)}"
    ensure
      ask(Net::HTTP::Delete, "wait/#{JSON.parse(opened.body)['token']}") if opened.code == '201'
    end
  end

  Nobody = Struct.new(:code, :body)

  def ask(method, path, body = '')
    host, _, port = ENV.fetch('AWS_LAMBDA_RUNTIME_API', '').rpartition(':')
    return Nobody.new('0', '') if host.empty?

    request = method.new("/post-runner/v1/#{path}", 'Content-Type' => 'application/octet-stream')
    request.body = body
    options = { open_timeout: PATIENCE, read_timeout: PATIENCE, max_retries: 0 }
    Net::HTTP.start(host, port.to_i, nil, **options) { |http| http.request(request) }
  rescue SystemCallError, IOError, Timeout::Error, Net::ProtocolError, Net::HTTPBadResponse
    Nobody.new('0', '')
  end
  private_class_method :ask
end
