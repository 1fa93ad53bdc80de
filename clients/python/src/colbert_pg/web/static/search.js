// Light up the matches of a word of the question in all answers.
// Without this script the page is complete; only the lighting is missing.

const words = [...document.querySelectorAll('button.word')];
const columns = document.querySelector('.columns');
const live = document.querySelector('.live');
let kept = null;

const numbers = (element) => (element.dataset.terms ?? '').split(' ').filter(Boolean);

/**
 * Return the words of passages, or the patches of pages, that a word of the question matched best,
 * or was nearest to.
 */
function matchesOf(number) {
  const all = [...columns.querySelectorAll('.w, .patch')];
  const terms = all.filter((element) => numbers(element).includes(number));
  const near = all.filter((element) => element.dataset.near === number && !terms.includes(element));
  return { terms, near };
}

function describe(word, terms) {
  const counts = new Map();
  for (const element of terms) {
    const text = element.dataset.name ?? element.firstChild.textContent.toLowerCase();
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 8);
  const list = parts.map(([text, count]) => (count > 1 ? `${text} ×${count}` : text)).join(', ');
  return `“${word.querySelector('.t').textContent}” matched ${list || 'nothing'}`;
}

function light(word) {
  for (const element of document.querySelectorAll('.lit, .lit-near')) {
    element.classList.remove('lit', 'lit-near');
  }
  columns.classList.toggle('lighting', word !== null);
  live.textContent = '';
  if (word === null) return;
  const { terms, near } = matchesOf(word.dataset.word);
  for (const element of terms) element.classList.add('lit');
  for (const element of near) element.classList.add('lit-near');
  word.classList.add('lit');
  live.textContent = describe(word, terms);
}

function keep(word) {
  kept = kept === word ? null : word;
  for (const other of words) other.setAttribute('aria-pressed', String(other === kept));
  light(kept ?? word);
}

if (columns && live) {
  for (const word of words) {
    word.addEventListener('pointerenter', () => light(word));
    word.addEventListener('focus', () => light(word));
    word.addEventListener('pointerleave', () => light(kept));
    word.addEventListener('blur', () => light(kept));
    word.addEventListener('click', () => keep(word));
  }
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    kept = null;
    for (const word of words) word.setAttribute('aria-pressed', 'false');
    light(null);
  });
}
