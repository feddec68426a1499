<?php

require __DIR__ . '/post_runner.php';

echo \PostRunner\work(['from' => 'php']) ? 'true' : 'false', "\n";
$release = \PostRunner\hold('named');
echo "begun\n";
if (trim(fgets(STDIN)) === 'fail') {
    error_log('by zero'); // nothing runs beside PHP: that a failure is logged is up to whoever holds
}
$release();
fgets(STDIN);
