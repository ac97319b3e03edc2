// Any Node warning (a leaked listener, a deprecated call) fails the test file that caused it.
process.on('warning', (warning) => {
  throw new Error(`Node warning: ${warning.name}: ${warning.message}`, { cause: warning });
});
