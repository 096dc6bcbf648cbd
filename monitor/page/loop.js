// When things are drawn: with the screen's frames, and never while nobody can see them.

/** A function that runs `draw` once before the next frame, however often it is called. @param {() => void} draw */
export function coalesced(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** Runs `draw` every frame while it is wanted and the tab is shown. */
export class Loop {
  /** @param {(milliseconds: number) => void} draw */
  constructor(draw) {
    this.draw = draw;
    this.wanted = false;
    this.request = 0;
    document.addEventListener("visibilitychange", () => this.settle());
  }

  /** @param {boolean} wanted */
  want(wanted) {
    if (this.wanted === wanted) return;
    this.wanted = wanted;
    this.settle();
  }

  settle() {
    const running = this.wanted && !document.hidden;
    if (running && !this.request) this.request = requestAnimationFrame((at) => this.step(at));
    if (!running && this.request) {
      cancelAnimationFrame(this.request);
      this.request = 0;
    }
  }

  step(at) {
    this.request = requestAnimationFrame((next) => this.step(next));
    this.draw(at);
  }
}

/** Calls `tick` every so many seconds while the tab is shown, and at once when it is shown again. */
export function every(seconds, tick) {
  setInterval(() => document.hidden || tick(), seconds * 1000);
  document.addEventListener("visibilitychange", () => document.hidden || tick());
}

/** Whether the reader asked for less motion. */
export const calm = matchMedia("(prefers-reduced-motion: reduce)");
