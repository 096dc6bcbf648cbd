// Which cars' pictures are asked for: those whose card is in view, and none while the tab is hidden.

/** Keeps the monitor told which pictures are wanted. */
export class Watch {
  /** @param {(message: Object) => boolean} send */
  constructor(send) {
    this.send = send;
    this.inView = new Set();
    /** The car that is shown large, above all cards. @type {?string} */
    this.only = null;
    this.told = null;
    this.timer = 0;
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const { car } = target.dataset;
        if (isIntersecting) this.inView.add(car);
        else this.inView.delete(car);
      }
      this.soon();
    });
    document.addEventListener("visibilitychange", () => this.tell());
  }

  /** Watch a car while this element is in view. @param {HTMLElement} element with data-car */
  follow(element) {
    this.observer.observe(element);
  }

  unfollow(element) {
    this.observer.unobserve(element);
    this.inView.delete(element.dataset.car);
    this.soon();
  }

  /** Whether a car's card can be seen. @param {string} car */
  sees(car) {
    return this.inView.has(car);
  }

  /** Watch one car alone; null: those in view again. @param {?string} car */
  alone(car) {
    this.only = car;
    this.tell();
  }

  /** A new socket: the monitor knows nothing yet. */
  again() {
    this.told = null;
    this.tell();
  }

  /** Scrolling passes many cards; the monitor need not hear of each. */
  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tell(), 120);
  }

  tell() {
    const wanted = document.hidden ? [] : this.only ? [this.only] : [...this.inView].sort();
    const key = JSON.stringify(wanted);
    if (key !== this.told && this.send({ watch: wanted })) this.told = key;
  }
}
