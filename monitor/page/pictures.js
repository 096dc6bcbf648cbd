// Camera pictures: taken apart as they come, decoded one at a time a car, and drawn wherever they are shown.

const HEAD = 8 + 8 + 4;
/** Pixels of the canvas a pixel of the picture: edges stay crisp at any size, and all pixels look as large. */
const ENLARGED = 3;

/** The pictures of one binary message; what is cut off at its end is left out. @param {ArrayBuffer} data */
export function readPictures(data) {
  const view = new DataView(data);
  const pictures = [];
  let place = 0;
  while (place < data.byteLength) {
    const named = view.getUint8(place);
    const head = place + 1 + named;
    if (head + HEAD > data.byteLength) break;
    const start = head + HEAD;
    const length = view.getUint32(head + 16, true);
    if (start + length > data.byteLength) break;
    pictures.push({
      car: String.fromCharCode(...new Uint8Array(data, place + 1, named)),
      at: view.getFloat64(head, true),
      number: Number(view.getBigUint64(head + 8, true)),
      jpeg: new Uint8Array(data, start, length),
    });
    place = start + length;
  }
  return pictures;
}

/** One car's camera. */
class Camera {
  constructor() {
    this.canvases = new Set();
    this.next = null;
    this.decoding = false;
    this.drawn = 0;
    this.at = null;
  }

  /** Only the newest picture is kept while one is being decoded. */
  async take(picture) {
    this.next = picture;
    if (this.decoding) return;
    this.decoding = true;
    while (this.next) {
      const taken = this.next;
      this.next = null;
      try {
        const bitmap = await createImageBitmap(new Blob([taken.jpeg], { type: "image/jpeg" }));
        this.draw(bitmap, taken);
        bitmap.close();
      } catch {
        // Not a picture: the frame's age tells that none was drawn.
      }
    }
    this.decoding = false;
  }

  draw(bitmap, { at, number }) {
    this.at = at;
    this.drawn += 1;
    for (const canvas of this.canvases) {
      const [width, height] = [bitmap.width * ENLARGED, bitmap.height * ENLARGED];
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      const context = canvas.getContext("2d", { alpha: false });
      context.imageSmoothingEnabled = false;
      context.drawImage(bitmap, 0, 0, width, height);
      canvas.dataset.number = number;
      canvas.dataset.frames = this.drawn;
    }
  }
}

/** All cars' cameras. */
export class Cameras {
  constructor() {
    this.byCar = new Map();
  }

  of(car) {
    if (!this.byCar.has(car)) this.byCar.set(car, new Camera());
    return this.byCar.get(car);
  }

  /** @param {{car: string, at: number, number: number, jpeg: Uint8Array}} picture */
  take(picture) {
    this.of(picture.car).take(picture);
  }

  /** Draw a car's pictures onto a canvas from now on. @param {string} car @param {HTMLCanvasElement} canvas */
  attach(car, canvas) {
    this.of(car).canvases.add(canvas);
  }

  detach(car, canvas) {
    this.of(car).canvases.delete(canvas);
  }

  /** When the picture left the simulator that was drawn last; null: none was. @param {string} car */
  at(car) {
    return this.byCar.get(car)?.at ?? null;
  }
}
