import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/system/clock.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('what runs by the minute', () => {
  it.each([
    ['back', -3_600_000],
    ['forth', 3_600_000],
  ])('goes on within seconds after the clock was set an hour %s', async (_, ms) => {
    let fired = 0;
    const stop = systemClock.cron('*/2 * * * * *', () => void (fired += 1));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(fired).toBeGreaterThan(3);
    vi.setSystemTime(Date.now() + ms);
    fired = 0;
    await vi.advanceTimersByTimeAsync(20_000);
    stop();
    expect(fired).toBeGreaterThan(5);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
