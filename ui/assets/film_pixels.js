// What <film-viewer> computes of pixels.
const CONTOUR = 0.63; // opacity of the map's picture where the evidence is half its peak, over the peak's

/** Gray pixels of a picture that the browser has decoded. */
function pixelsOf(image) {
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { data, width, height };
}

function grayOf(image) {
  const { data, width, height } = pixelsOf(image);
  const gray = new Uint8Array(width * height);
  for (let at = 0; at < gray.length; at++) gray[at] = data[4 * at];
  return { data: gray, width, height, bits: 8 };
}

/** Differences along each row, as ui/api/layers.py writes them; of 16-bit films all low bytes, then all high ones. */
function undelta(bytes, width, height, bits) {
  const count = width * height, white = bits > 8 ? 0xffff : 0xff;
  const data = bits > 8 ? new Uint16Array(count) : new Uint8Array(count);
  for (let at = 0, sum = 0; at < count; at++) {
    if (at % width === 0) sum = 0;
    sum = (sum + bytes[at] + (bits > 8 ? bytes[count + at] << 8 : 0)) & white;
    data[at] = sum;
  }
  return { data, width, height, bits };
}

function halved({ data, width, height, bits }) {
  const w = width >> 1, h = height >> 1, half = new data.constructor(w * h);
  for (let y = 0, to = 0; y < h; y++) {
    for (let x = 0, from = 2 * y * width; x < w; x++, from += 2, to++) {
      half[to] = (data[from] + data[from + 1] + data[from + width] + data[from + width + 1] + 2) >> 2;
    }
  }
  return { data: half, width: w, height: h, bits };
}

/** The line around all that is at least `limit` (marching squares), in pixels of the picture. */
function contourOf({ data, width, height }) {
  let peak = 0;
  for (let at = 3; at < data.length; at += 4) peak = Math.max(peak, data[at]);
  const limit = peak * CONTOUR, path = new Path2D();
  const value = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : data[4 * (y * width + x) + 3]);
  for (let y = -1; peak && y < height; y++) {
    for (let x = -1; x < width; x++) {
      const corners = [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]], cuts = [];
      for (let side = 0; side < 4; side++) {
        const [a, b] = [corners[side], corners[(side + 1) % 4]], [va, vb] = [value(...a), value(...b)];
        if (va >= limit === vb >= limit) continue;
        const share = (limit - va) / (vb - va);
        cuts.push([a[0] + share * (b[0] - a[0]) + 0.5, a[1] + share * (b[1] - a[1]) + 0.5]);
      }
      for (let cut = 0; cut + 1 < cuts.length; cut += 2) {
        path.moveTo(...cuts[cut]);
        path.lineTo(...cuts[cut + 1]);
      }
    }
  }
  return path;
}
