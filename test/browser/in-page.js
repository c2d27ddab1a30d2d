/** What docs.ts asks of a page, from inside it. */
globalThis.inPage = {
  /** The addresses of images that are not there. */
  async brokenImages() {
    const images = Array.from(document.images);
    for (const image of images) image.loading = 'eager';
    await Promise.allSettled(images.map((image) => image.decode()));
    return images.filter((image) => image.naturalWidth === 0).map((image) => image.src);
  },

  /** What has the page scroll sideways; nothing where it does not. */
  wideElements() {
    const { clientWidth, scrollWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const wide = Array.from(document.querySelectorAll('.VPContent *')).filter(
      (element) => element.getBoundingClientRect().right > clientWidth + 1,
    );
    return [`${scrollWidth} pixels`, ...wide.slice(0, 5).map((element) => element.outerHTML.slice(0, 120))];
  },

  /** The colours of an image, as `red,green,blue`. */
  async coloursOf(url) {
    const image = Object.assign(new Image(), { src: url });
    await image.decode();
    const { width, height } = image;
    const context = Object.assign(document.createElement('canvas'), { width, height }).getContext('2d');
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const colours = new Set();
    for (let at = 0; at < data.length; at += 4) colours.add(data.slice(at, at + 3).join(','));
    return [...colours];
  },

  /** Texts of a picture that leave it or the box that they are in, or lie on another text. */
  misplacedTexts() {
    const areasOf = (name) =>
      Array.from(document.querySelectorAll(name), (element) => ({
        text: element.textContent,
        area: element.getBBox(),
      }));
    const meets = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
    const holds = (a, b) =>
      a.x <= b.x && a.y <= b.y && b.x + b.width <= a.x + a.width && b.y + b.height <= a.y + a.height;
    const whole = document.documentElement.viewBox.baseVal;
    const boxes = areasOf('rect');
    return areasOf('text').flatMap(({ text, area }, index, texts) => [
      ...(holds(whole, area) ? [] : [`outside: ${text}`]),
      ...boxes.filter((box) => meets(box.area, area) && !holds(box.area, area)).map(() => `over an edge: ${text}`),
      ...texts
        .slice(index + 1)
        .filter((other) => meets(other.area, area))
        .map((other) => `on each other: ${text}, ${other.text}`),
    ]);
  },
};
