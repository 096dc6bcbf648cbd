// The little that we need to build and change the document. Text only ever goes in as text.

/** The element with this id, which the page is known to have. @param {string} id */
export const byId = (id) => document.getElementById(id);

/**
 * A new element.
 * @param {string} kind tag, with classes: "span.badge"
 * @param {Object<string, *>} attributes as attributes; functions become event listeners, false and null are left out
 * @param {...(Node|string|null|undefined)} children
 */
export function make(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Write text, but only where it changed: screen readers and layout are spared. @param {Element} element */
export function say(element, text) {
  const wanted = text ?? "";
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Set an attribute where it changed; null removes it. @param {Element} element */
export function mark(element, name, value) {
  if (value == null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Show or hide. @param {HTMLElement} element */
export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/**
 * Keep a parent's children in step with keys: what is new is made, what is gone removed, the order is that of
 * the keys, and what stays is left alone, so that focus stays too.
 * @param {Element} parent @param {string[]} keys
 * @param {Map<string, {element: Element}>} parts what there is by key; changed
 * @param {(key: string) => {element: Element}} build
 */
export function keep(parent, keys, parts, build) {
  const wanted = new Set(keys);
  for (const [key, part] of parts) {
    if (wanted.has(key)) continue;
    part.element.remove();
    part.gone?.();
    parts.delete(key);
  }
  keys.forEach((key, index) => {
    if (!parts.has(key)) parts.set(key, build(key));
    const { element } = parts.get(key);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}
