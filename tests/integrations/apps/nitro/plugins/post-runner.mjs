export { default } from 'post-runner/nitro';
