// Writes down at a frame how its page looks: whether it fits, whether its texts can be read.
const look = (frame) => {
  const doc = frame.contentDocument;
  const root = doc.documentElement;
  const view = frame.contentWindow;
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  // WCAG 2's relative luminance and contrast.
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const isSvg = (element) => element.namespaceURI === "http://www.w3.org/2000/svg";
  const behind = (element, x, y) => {
    for (const other of doc.elementsFromPoint(x, y)) {
      if (other === element || (isSvg(other) && !["rect", "polygon"].includes(other.tagName))) continue;
      const style = view.getComputedStyle(other);
      const found = colour(isSvg(other) ? style.fill : style.backgroundColor);
      if (found[3] === 255) return found;
    }
    return colour(view.getComputedStyle(root).backgroundColor || "white").slice(0, 3).concat(255);
  };
  const pale = [];
  let texts = 0;
  const walker = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.tagName === "STYLE") continue;
    // What only a screen reader gets has no colour.
    const head = element.closest("thead");
    if (head && view.getComputedStyle(head).clipPath !== "none") continue;
    const range = doc.createRange();
    range.selectNodeContents(node);
    const box = range.getClientRects()[0];
    if (!box || box.width < 1 || box.height < 1) continue;
    texts += 1;
    const style = view.getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const own = colour(isSvg(element) ? style.fill : style.color);
    const ratio = contrast(own, behind(element, box.x + Math.min(box.width / 2, 200), box.y + box.height / 2));
    if (ratio < (large ? 3 : 4.5)) pale.push(node.data.trim());
  }
  const cut = [];
  const crossed = [];
  for (const svg of doc.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const all = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    for (const [text, box] of all) {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) {
        cut.push(text);
      }
    }
    all.forEach(([text, a], n) => {
      for (const [other, b] of all.slice(n + 1)) {
        // Lines of letters have room above and below them.
        const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top + 4 || b.bottom <= a.top + 4;
        if (!apart) crossed.push(`${text} / ${other}`);
      }
    });
  }
  frame.dataset.look = JSON.stringify({
    width: root.clientWidth,
    height: root.scrollHeight === root.clientHeight ? doc.body.getBoundingClientRect().bottom : root.scrollHeight,
    overflow: root.scrollWidth > root.clientWidth,
    texts,
    pale,
    cut,
    crossed,
    figures: [...doc.querySelectorAll("figure")].map((figure) => figure.getBoundingClientRect().height),
    ground: view.getComputedStyle(doc.body).backgroundColor,
  });
};
