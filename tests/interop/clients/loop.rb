# The loop of a runtime client in Ruby, in the manner of AWS's: Net::HTTP, with a new connection for each request.

require 'net/http'

$stdout.sync = true

HOST, PORT = ENV.fetch('AWS_LAMBDA_RUNTIME_API').split(':')
RUNTIME = '/2018-06-01/runtime'
ERROR = '{"errorMessage":"broken","errorType":"Function<StandardError>","stackTrace":[]}'

def exchange(request)
  http = Net::HTTP.new(HOST, PORT.to_i)
  http.read_timeout = 1_000_000
  answer = http.start { |connection| connection.request(request) }
  headers = answer.each_header.map { |name, value| "#{name}=#{value}" }.sort.join('; ')
  puts "saw #{answer.code} #{headers}"
  answer
end

def next_invocation
  answer = exchange(Net::HTTP::Get.new("#{RUNTIME}/invocation/next", 'User-Agent' => 'aws-lambda-ruby/3.1'))
  raise "no event: #{answer.code}" unless answer.is_a?(Net::HTTPSuccess)

  answer
end

def post(path, body, headers)
  request = Net::HTTP::Post.new("#{RUNTIME}/#{path}", 'User-Agent' => 'aws-lambda-ruby/3.1', **headers)
  request.body = body
  exchange(request)
end

def post_error(path)
  post(path, ERROR, 'Content-Type' => 'application/vnd.aws.lambda.error+json',
                    'Lambda-Runtime-Function-Error-Type' => 'Function<StandardError>',
                    'Lambda-Runtime-Function-XRay-Error-Cause' => '{"working_directory":"/","exceptions":[]}')
end

if ENV.key?('FAILS')
  post_error('init/error')
  exit 1
end

Thread.new do
  loop do
    puts 'tick'
    sleep 0.05
  end
end

loop do
  event = next_invocation
  invocation = "invocation/#{event['Lambda-Runtime-Aws-Request-Id']}"
  case event.body
  when '{"do":"exit"}' then exit! 7
  when '{"do":"fail"}' then post_error("#{invocation}/error")
  else post("#{invocation}/response", event.body, 'Content-Type' => 'application/json')
  end
end
