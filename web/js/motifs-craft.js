// Motifs of what people cook, build, read and design. Same rule as in motifs-outdoors.js: the generator is used only while a
// motif is made.

const TURN = Math.PI * 2;

function ring(context, x, y, radius, stroke, lineWidth) {
  context.strokeStyle = stroke;
  context.lineWidth = lineWidth;
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.stroke();
}

function disc(context, x, y, radius, fill) {
  context.fillStyle = fill;
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.fill();
}

/** A plate seen from above, with steam. */
export function plate(random, palette) {
  const bites = Array.from({ length: 16 }, () => ({
    angle: random() * TURN,
    far: Math.sqrt(random()) * 0.62,
    size: 0.07 + random() * 0.12,
    colour: [palette.accent, palette.bright, palette.middle, palette.accentDeep][Math.floor(random() * 4)],
    long: 1 + random() * 1.2,
  }));
  return (context, width, height, seconds) => {
    const radius = width * 0.37;
    context.translate(width * 0.5, height * 0.42);
    disc(context, radius * 0.04, radius * 0.08, radius * 1.04, palette.night(0.55));
    disc(context, 0, 0, radius, palette.light());
    ring(context, 0, 0, radius * 0.8, palette.middle(0.25), radius * 0.02);
    context.save();
    context.rotate(seconds * 0.06);
    for (const bite of bites) {
      context.save();
      context.rotate(bite.angle);
      context.translate(bite.far * radius, 0);
      context.rotate(bite.angle * 3);
      context.fillStyle = bite.colour(0.95);
      context.beginPath();
      context.ellipse(0, 0, bite.size * radius * bite.long, bite.size * radius, 0, 0, TURN);
      context.fill();
      context.restore();
    }
    context.restore();
    paintSteam(context, radius, seconds, palette);
  };
}

function paintSteam(context, radius, seconds, palette) {
  context.lineCap = 'round';
  context.strokeStyle = palette.light(0.3);
  context.lineWidth = radius * 0.06;
  for (const strand of [-1, 0, 1]) {
    const x = strand * radius * 0.34;
    const sway = Math.sin(seconds * 1.1 + strand * 2) * radius * 0.12;
    context.beginPath();
    context.moveTo(x, -radius * 1.15);
    context.bezierCurveTo(x + sway, -radius * 1.32, x - sway, -radius * 1.45, x, -radius * 1.62);
    context.stroke();
  }
}

/** A board of lines with signals that travel to a chip. */
export function pulse(random, palette) {
  const lines = Array.from({ length: 13 }, (_, index) => ({
    x: 0.06 + (index / 12) * 0.88,
    bends: [random() * 0.3 + 0.1, random() * 0.3 + 0.45],
    shift: (Math.floor(random() * 3) - 1) * 0.07,
    speed: 0.14 + random() * 0.2,
    phase: random(),
  }));
  const across = (line, y) => {
    const [first, second] = line.bends;
    return y < first ? line.x : line.x + line.shift * Math.min(1, (y - first) / (second - first));
  };
  return (context, width, height, seconds) => {
    for (const line of lines) {
      context.strokeStyle = palette.bright(0.5);
      context.lineWidth = width / 170;
      context.beginPath();
      for (const y of [0, ...line.bends, 1]) context.lineTo(across(line, y) * width, y * height);
      context.stroke();
      for (const y of line.bends) disc(context, across(line, y) * width, y * height, width * 0.016, palette.middle());
      const y = (seconds * line.speed + line.phase) % 1;
      disc(context, across(line, y) * width, y * height, width * 0.036, palette.accent(0.28));
      disc(context, across(line, y) * width, y * height, width * 0.015, palette.light());
    }
    paintChip(context, width * 0.5, height * 0.4, width * 0.4, seconds, palette);
  };
}

function paintChip(context, x, y, size, seconds, palette) {
  context.fillStyle = palette.night(0.94);
  context.strokeStyle = palette.accent();
  context.lineWidth = size / 44;
  context.beginPath();
  context.roundRect(x - size / 2, y - size / 2, size, size, size * 0.14);
  context.fill();
  context.stroke();
  for (let level = 0; level < 3; level += 1) {
    const age = (level + seconds * 0.5) % 3;
    ring(context, x, y, size * (0.1 + 0.1 * age), palette.accent(0.8 - 0.26 * age), size / 60);
  }
}

/** Shelves of books. */
export function pages(random, palette) {
  const colours = [palette.bright, palette.accent, palette.light, palette.middle, palette.accentDeep];
  const shelves = Array.from({ length: 4 }, () => {
    const books = [];
    let x = 0.02;
    while (x < 0.95) {
      const wide = 0.05 + random() * 0.07;
      const lean = random() < 0.14 ? 0.13 : 0;
      books.push({ x, wide, lean, tall: 0.11 + random() * 0.055, colour: colours[Math.floor(random() * colours.length)] });
      x += wide + (lean ? 0.035 : 0.008);
    }
    return books;
  });
  return (context, width, height, seconds) => {
    shelves.forEach((books, row) => {
      const floor = height * (0.2 + row * 0.215);
      context.fillStyle = palette.night(0.85);
      context.fillRect(0, floor, width, height * 0.014);
      books.forEach((book, index) => {
        const pulled = Math.max(0, Math.sin(seconds * 0.55 + row * 2 + index * 0.9) - 0.86) * 0.1;
        context.save();
        context.translate((book.x + book.wide / 2) * width, floor - pulled * height);
        context.rotate(book.lean);
        paintBook(context, book, width, height, palette);
        context.restore();
      });
    });
  };
}

function paintBook(context, book, width, height, palette) {
  const left = (-book.wide / 2) * width;
  context.fillStyle = book.colour(0.95);
  context.beginPath();
  context.roundRect(left, -book.tall * height, book.wide * width, book.tall * height, width * 0.008);
  context.fill();
  context.fillStyle = palette.night(0.35);
  context.fillRect(left, -book.tall * height * 0.84, book.wide * width, height * 0.006);
  context.fillRect(left, -book.tall * height * 0.2, book.wide * width, height * 0.01);
}

/** Quarter-circle tiles that turn one after the other. */
export function tiles(random, palette) {
  const columns = 4;
  const rows = 8;
  const cells = Array.from({ length: columns * rows }, (_, index) => ({
    column: index % columns,
    row: Math.floor(index / columns),
    turn: Math.floor(random() * 4),
    shape: Math.floor(random() * 4),
    front: [palette.accent, palette.bright, palette.light, palette.accentDeep][Math.floor(random() * 4)],
    back: [palette.deep, palette.middle, palette.night][Math.floor(random() * 3)],
    phase: random() * 8,
  }));
  return (context, width, height, seconds) => {
    const size = Math.max(width / columns, height / rows) * 1.004;
    for (const cell of cells) {
      const time = seconds * 0.5 + cell.phase;
      const turned = time % 8 < 1 ? (1 - Math.cos((time % 8) * Math.PI)) / 2 : 1;
      context.save();
      context.translate((cell.column + 0.5) * size, (cell.row + 0.5) * size);
      context.rotate(((cell.turn + turned + Math.floor(time / 8)) * TURN) / 4);
      paintTile(context, cell, size);
      context.restore();
    }
  };
}

function paintTile(context, cell, size) {
  context.fillStyle = cell.back();
  context.fillRect(-size / 2, -size / 2, size, size);
  context.fillStyle = cell.front(0.95);
  context.beginPath();
  if (cell.shape === 0) {
    context.arc(0, 0, size * 0.36, 0, TURN);
  } else if (cell.shape === 1) {
    context.arc(0, -size / 2, size / 2, 0, Math.PI);
  } else {
    context.moveTo(-size / 2, -size / 2);
    context.arc(-size / 2, -size / 2, size * (cell.shape === 2 ? 1 : 0.62), 0, TURN / 4);
  }
  context.fill();
}
