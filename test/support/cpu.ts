/** The CPU time of one run, in seconds: the least of a few samples, which others on the machine disturb least. */
export function cpuSeconds(run: () => unknown, repeats = 1): number {
  let least = Infinity;
  for (let sample = 0; sample < 5; sample++) {
    const before = process.cpuUsage();
    for (let index = 0; index < repeats; index++) run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1e6 / repeats);
  }
  return least;
}
