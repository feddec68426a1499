# frozen_string_literal: true

require_relative 'post_runner'

$stdout.sync = true
puts PostRunner.work({ from: 'ruby' })
working = PostRunner.wait_until(name: 'named') { raise ZeroDivisionError, 'by zero' if $stdin.gets.strip == 'fail' }
puts 'begun'
working.join
$stdin.gets
